"""The host's end of the channel to a machine's agent: wire streams as byte streams to await.

The peer is hostile: whatever it sends ends at worst in one ``MachineError``, and what waits here is
bounded by the wire's credit. One task reads, one writes; neither waits for the other, so a guest
that stops reading cannot keep us from reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from stockade.model.errors import MachineError
from stockade.sandbox.calls import printable
from stockade.wire import events
from stockade.wire.connection import Connection, Role
from stockade.wire.errors import ProtocolError, StreamClosedError, StreamLimitError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Visitor = Callable[["Stream", bytes], object]

_CHUNK = 1 << 18
_STALE = 8 << 20  # bytes that a copied machine may have had under way; it is a small part of that
_BACKLOG = 1 << 20  # bytes waiting to be written beyond which senders pause


class Channel:
    """Streams to the agent of one machine. ``run`` must run as long as it is used.

    What the machine says up to and including the bytes ``after`` was for somebody else.
    """

    def __init__(self, connection_socket: socket.socket, *, after: bytes = b"") -> None:
        connection_socket.setblocking(False)
        self._socket = connection_socket
        self._after = after
        self._stale = bytearray()
        self._passed = 0
        self._connection = Connection(Role.HOST)
        self._streams: dict[int, Stream] = {}
        self._to_write = anyio.Event()
        self._written = anyio.Event()
        self._ready = anyio.Event()
        self._ours = anyio.Event()  # what the machine reads before is for somebody else too
        if not after:
            self._ours.set()
        self._failure: MachineError | None = None
        self.visitor: Visitor | None = None
        """Takes each stream that the machine opens, with its payload; else they are reset."""
        self._connection.start()

    async def run(self) -> None:
        """Serve until the machine closes the channel; ``fail`` is then the caller's to call.

        When the machine breaks the protocol, everything fails at once, and this returns too.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            try:
                await self._read()
            except ProtocolError as error:
                self.fail(MachineError(f"the machine broke the protocol: {error}"))
            except OSError:
                pass  # the other end is gone without having closed: the same to us
            tasks.cancel_scope.cancel()

    async def ready(self) -> None:
        """Wait for the agent's first word."""
        await self._ready.wait()
        self.check()

    def open(self, payload: bytes) -> Stream:
        """Open a stream that tells the agent ``payload`` about its purpose."""
        self.check()
        try:
            stream = Stream(self, self._connection, self._connection.open(payload))
        except StreamLimitError as error:
            raise MachineError(f"too many requests at once: {error}") from None
        self._streams[stream.id] = stream
        self.wake_writer()
        return stream

    def fail(self, error: MachineError) -> None:
        """Make every present and later use of the channel raise ``error``; the first one counts."""
        if self._failure is None:
            self._failure = error
        self._ready.set()
        self._written.set()
        for stream in self._streams.values():
            stream.wake()

    def check(self) -> None:
        """Raise what ended the channel, if something has."""
        if self._failure is not None:
            raise type(self._failure)(str(self._failure), hint=self._failure.hint)

    def drop(self, stream: int) -> None:
        """Forget a stream that nobody waits on."""
        self._streams.pop(stream, None)

    def wake_writer(self) -> None:
        """Have what the connection has queued written soon."""
        self._to_write.set()

    async def room(self) -> None:
        """Wait until little enough is queued that more may be."""
        while self._connection.output_size > _BACKLOG:
            self.check()
            await self._written.wait()
        self.check()

    async def _read(self) -> None:
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while True:
            try:
                count = self._socket.recv_into(buffer)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
                continue
            if count == 0:
                return
            received = view[:count]
            if self._after:
                received = memoryview(self._skip(received))
            for event in self._connection.receive(received):
                self._dispatch(event)
            if self._connection.output_size:
                self.wake_writer()
            # Even a guest that never pauses lets other tasks run.
            await anyio.lowlevel.checkpoint()

    def _skip(self, received: memoryview) -> bytes:
        """Return what follows the bytes ``after``; until they have come, nothing."""
        self._stale += received
        self._passed += len(received)
        found = self._stale.find(self._after)
        if found >= 0:
            rest = bytes(self._stale[found + len(self._after) :])
            self._after, self._stale = b"", bytearray()
            self._ours.set()
            return rest
        if self._passed > _STALE:
            raise ProtocolError("its first words are not for us")
        del self._stale[: -len(self._after)]
        return b""

    async def _write(self) -> None:
        await self._ours.wait()
        while True:
            await self._to_write.wait()
            self._to_write = anyio.Event()
            view = memoryview(b"".join(self._connection.take_output()))
            while view:
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._socket)
                except OSError:
                    return  # the reading side finds the same, and says so
            self._written.set()
            self._written = anyio.Event()

    def _dispatch(self, event: events.Event) -> None:
        if isinstance(event, events.PeerReady):
            self._ready.set()
        elif isinstance(event, events.StreamOpened):
            self._receive_visit(event.stream, bytes(event.payload))
        else:
            stream = self._streams.get(event.stream)
            if stream is not None:
                stream.on_event(event)

    def _receive_visit(self, number: int, payload: bytes) -> None:
        if self.visitor is None:
            self._connection.reset(number, "there is no network")
            return
        stream = self._streams[number] = Stream(self, self._connection, number)
        self.visitor(stream, payload)


class Stream:
    """One stream to the agent, to be used by one reader and one writer."""

    def __init__(self, channel: Channel, connection: Connection, number: int) -> None:
        self.id = number
        self._channel, self._connection = channel, connection
        self._received = bytearray()
        self._changed = anyio.Event()
        self._ended = self._sent_all = False
        self._reset: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the agent sends no more; what it has sent may still wait to be received."""
        return self._ended or self._reset is not None

    async def receive(self, most: int = 1 << 16) -> bytes:
        """Return the next bytes, or b"" after the last; raise ``MachineError`` if cut off."""
        while not self._received:
            if self._ended:
                return b""
            self._channel.check()
            if self._reset is not None:
                raise MachineError(f"the machine cut a stream off: {self._reset}")
            await self._changed.wait()
        chunk = bytes(memoryview(self._received)[:most])
        del self._received[:most]
        self._connection.consumed(self.id, len(chunk))
        if self._connection.output_size:
            self._channel.wake_writer()
        return chunk

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; raise ``BrokenPipeError`` when the agent takes no more."""
        view = memoryview(data)
        while view:
            await self._channel.room()
            try:
                sent = self._connection.send(self.id, view)
            except StreamClosedError:
                raise BrokenPipeError(self._reset or "the stream is closed") from None
            view = view[sent:]
            self._channel.wake_writer()
            if view:
                await self._changed.wait()

    def end(self) -> None:
        """Send no more; fine when the agent has closed the stream before."""
        try:
            self._connection.end(self.id)
        except StreamClosedError:
            return
        self._sent_all = True
        self._drop_if_over()
        self._channel.wake_writer()

    def abandon(self, reason: str) -> None:
        """Close both directions at once; fine when they are closed."""
        self._channel.drop(self.id)
        self._connection.reset(self.id, reason)
        self._channel.wake_writer()
        self._reset = self._reset or reason
        self.wake()

    def on_event(self, event: events.Event) -> None:
        """Take what the connection has to say about this stream."""
        if isinstance(event, events.DataReceived):
            self._received += event.data
        elif isinstance(event, events.StreamEnded):
            self._ended = True
            self._drop_if_over()
        elif isinstance(event, events.StreamReset):
            self._reset = printable(event.reason) or "no reason given"
            self._channel.drop(self.id)
        self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._changed.set()
        self._changed = anyio.Event()

    def _drop_if_over(self) -> None:
        if self._ended and self._sent_all:
            self._channel.drop(self.id)
