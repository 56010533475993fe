"""One side of a connection: calls in, frames out; bytes in, events out. No I/O."""

from __future__ import annotations

from enum import IntEnum

from .errors import ProtocolError, StreamLimitError
from .events import (
    DataReceived,
    Event,
    PeerReady,
    StreamEnded,
    StreamOpened,
    StreamReset,
    StreamWritable,
)
from .frames import MAGIC, MAX_OPEN_PAYLOAD, VERSION, FrameDecoder, Kind, encode_reason
from .output import Output
from .streams import WINDOW, Stream, StreamTable

__all__ = ["MAX_CONTROL_BACKLOG", "MAX_STREAMS", "WINDOW", "Connection", "Role"]

MAX_STREAMS = 1024
"""Most live streams each side may have opened, unless both sides are told another number."""

MAX_CONTROL_BACKLOG = 1 << 20
"""Most bytes of CREDIT, END and RESET that may wait to be taken: a peer that only writes and
never reads would have us queue them for ever. All that ``MAX_STREAMS`` slow but honest streams of
each side can be owed is less. OPEN is not counted, for the peer cannot cause one."""

# An attribute of an enum costs three times a global: these are looked up for every frame.
_HELLO, _OPEN, _DATA = Kind.HELLO, Kind.OPEN, Kind.DATA
_CREDIT, _END, _RESET = Kind.CREDIT, Kind.END, Kind.RESET


class Role(IntEnum):
    """Which side this is; the value is the first stream id that the side opens."""

    HOST = 1
    GUEST = 2


class Connection:
    """The protocol's state on one side.

    The driver reads the channel and passes the bytes to :meth:`receive`; after that, and after any
    call that sends, it writes out :meth:`take_output`, in order, and takes again when all is
    written. Then no more than a window for each live stream ever waits here, whatever the peer
    does; to hold less, send nothing while ``output_size`` is high.

    An id that was never opened, or a call before :meth:`start`, is a ``ValueError``: a bug. On a
    stream that is already gone, which the peer may cause at any time, :meth:`send` and :meth:`end`
    raise ``StreamClosedError`` while :meth:`consumed` and :meth:`reset` do nothing.
    """

    def __init__(self, role: Role, *, max_streams: int = MAX_STREAMS) -> None:
        self._ours = role & 1  # parity of the ids we open
        self._started = False
        self._peer_ready = False
        self._failure = ""
        self._decoder = FrameDecoder()
        self._output = Output()
        self._streams = StreamTable(max_streams)

    @property
    def output_size(self) -> int:
        """Bytes that :meth:`take_output` would return."""
        return self._output.size

    @property
    def buffered(self) -> int:
        """Bytes of an unfinished frame held back from the input, at most about 64 KiB."""
        return self._decoder.buffered

    @property
    def streams(self) -> list[int]:
        """Ids of the live streams of both sides, draining ones included."""
        return self._streams.ids()

    def start(self) -> None:
        """Queue our HELLO; must come before anything else."""
        if self._started:
            raise ValueError("the connection was started before")
        self._started = True
        self._output.put(_HELLO, 0, MAGIC + VERSION.to_bytes(2, "big"))

    def take_output(self) -> list[bytes | memoryview]:
        """Return the buffers to write to the channel now, in order."""
        self._streams.batch_taken()
        return self._output.take()

    # What the application does.

    def open(self, payload: bytes = b"") -> int:
        """Open a stream and return its id; the peer sees ``payload``, at most 4096 bytes.

        Raises ``StreamLimitError`` while ``max_streams`` of our streams are live.
        """
        self._check_started()
        if len(payload) > MAX_OPEN_PAYLOAD:
            raise ValueError(f"OPEN payload of {len(payload)} bytes, over {MAX_OPEN_PAYLOAD}")
        stream = self._streams.add(self._ours)
        self._output.put(_OPEN, stream.id, payload)
        return stream.id

    def sendable(self, stream_id: int) -> int:
        """Return how many bytes :meth:`send` would accept now; 0 once it can accept no more."""
        stream = self._streams.find(stream_id)
        return stream.send_credit if stream is not None and stream.sending else 0

    def send(self, stream_id: int, data: bytes | bytearray | memoryview) -> int:
        """Queue as much of ``data`` as the peer's credit allows; return how many bytes that is.

        After less than all, ``StreamWritable`` tells when to offer the rest. Raises
        ``StreamClosedError``.
        """
        stream = self._streams.find_sending(stream_id)
        size = min(len(data), stream.send_credit)
        if size:
            stream.sent(size, self._output.batch)
            self._output.put_data(stream_id, data, size)
        return size

    def consumed(self, stream_id: int, size: int) -> None:
        """Report that ``size`` received bytes no longer take memory here, so that more may come.

        Raises ``ValueError`` for more bytes than a live stream received.
        """
        stream = self._streams.find(stream_id)
        if stream is None:
            return
        grant = stream.consumed(size)
        if grant:
            self._output.put(_CREDIT, stream_id, grant.to_bytes(4, "big"))

    def end(self, stream_id: int) -> None:
        """Send no more on this stream, but go on receiving. Raises ``StreamClosedError``."""
        stream = self._streams.find_sending(stream_id)
        self._output.put(_END, stream_id)
        stream.stop_sending(self._output.batch)
        if not stream.receiving:
            self._forget(stream)

    def reset(self, stream_id: int, reason: str = "") -> None:
        """Abandon both directions; no event of this stream follows.

        The peer reads ``reason``, cut to 256 bytes of UTF-8.
        """
        stream = self._streams.find(stream_id)
        if stream is None or stream.draining:
            return
        self._output.put(_RESET, stream_id, encode_reason(reason))
        if stream.sending:
            stream.stop_sending(self._output.batch)
        if stream.receiving:
            stream.draining = True
        else:
            self._forget(stream)

    # What the peer does.

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Return what the peer's next bytes say; ``data`` may be reused afterwards.

        The events are in order, but the connection is already past the last of them: a stream just
        reported open or writable may be one that a later event in the list reports as reset.

        Raises ``ProtocolError``, now and at every later call; events of frames before the bad one
        in the same ``data`` are lost. Nothing is left then but to close the channel.
        """
        self._check_started()
        if self._failure:
            raise ProtocolError(self._failure)
        events: list[Event] = []
        try:
            for kind, stream_id, payload in self._decoder.feed(data):
                event = self._on_frame(kind, stream_id, payload)
                if event is not None:
                    events.append(event)
            self._check_backlog()
        except ProtocolError as error:
            self._failure = str(error)
            raise
        return events

    def _on_frame(self, kind: Kind, stream_id: int, payload: bytes | bytearray) -> Event | None:
        if not self._peer_ready:
            return self._on_hello(kind, payload)
        stream = self._streams.get(stream_id)
        if stream is None:
            return self._on_absent(kind, stream_id, payload)
        if kind is _DATA:
            stream.received(len(payload))
            return None if stream.draining else DataReceived(stream_id, payload)
        if kind is _CREDIT:
            stalled = stream.credited(int.from_bytes(payload, "big"), self._output.batch)
            return StreamWritable(stream_id) if stalled and stream.sending else None
        if kind is _END:
            return self._on_end(stream)
        if kind is _RESET:
            return self._on_reset(stream, payload)
        raise ProtocolError(f"{kind.name} on stream {stream_id}, which is open")

    def _on_hello(self, kind: Kind, payload: bytes | bytearray) -> Event:
        if kind is not _HELLO:
            raise ProtocolError(f"{kind.name} before HELLO")
        version = int.from_bytes(payload[len(MAGIC) :], "big")
        if version != VERSION:
            raise ProtocolError(f"the peer speaks version {version}, not {VERSION}")
        self._peer_ready = True
        return PeerReady(version)

    def _on_absent(self, kind: Kind, stream_id: int, payload: bytes | bytearray) -> Event | None:
        if kind is _OPEN:
            return self._on_open(stream_id, payload)
        if kind in (_CREDIT, _RESET) and self._streams.was_opened(stream_id):
            return None  # sent before its sender could know that the id is gone
        if kind is _HELLO:
            raise ProtocolError("a second HELLO")
        raise ProtocolError(f"{kind.name} on stream {stream_id}, which is not open")

    def _on_open(self, stream_id: int, payload: bytes | bytearray) -> Event:
        theirs = 1 - self._ours
        if stream_id != self._streams.next_id(theirs):
            raise ProtocolError(f"OPEN of {stream_id}, not {self._streams.next_id(theirs)}")
        try:
            self._streams.add(theirs)
        except StreamLimitError as error:
            raise ProtocolError(f"OPEN of {stream_id}: {error}") from None
        return StreamOpened(stream_id, payload)

    def _on_end(self, stream: Stream) -> Event | None:
        if not stream.receiving:
            raise ProtocolError(f"a second END on stream {stream.id}")
        stream.receiving = False
        if not stream.sending:
            self._forget(stream)
        return None if stream.draining else StreamEnded(stream.id)

    def _on_reset(self, stream: Stream, payload: bytes | bytearray) -> Event | None:
        if stream.sending:
            self._output.put(_RESET, stream.id)
            stream.stop_sending(self._output.batch)
        self._forget(stream)
        return None if stream.draining else StreamReset(stream.id, payload.decode(errors="replace"))

    def _forget(self, stream: Stream) -> None:
        self._streams.forget(stream, self._output.batch)

    def _check_started(self) -> None:
        if not self._started:
            raise ValueError("the connection was not started")

    def _check_backlog(self) -> None:
        if self._output.replies > MAX_CONTROL_BACKLOG:
            raise ProtocolError(f"the peer lets {self._output.replies} bytes of replies wait")
