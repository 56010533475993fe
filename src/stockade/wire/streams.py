"""The state of one stream, and the table of all that are live.

Each direction of a stream is bounded by credit: a side may have sent at most ``WINDOW`` bytes that
the other has not granted back.

How a stream ends, and why both sides always agree that its id is gone:

- Each direction ends once, by END or by RESET. After RESET a side sends nothing more on the
  stream; after END only CREDIT (it still receives) or RESET (it no longer wants to).
- END says "no more from me". A stream with END in both directions is gone.
- RESET says "no more from me, and I want no more from you". Who receives it answers RESET, unless
  its own END or RESET is on the way already, and the id is gone for it. Who sent it discards what
  still comes and holds the id (*draining*) until that answer, RESET or END, whichever is first.
- So a side forgets an id only when the other has ended its direction and has read, or is bound to
  read before anything sent later, that this one ended too: an OPEN that takes the freed place
  always finds it free.
- What can still cross is CREDIT or RESET sent after END by a side that had yet to read the other's
  END. For an id that is gone these two say nothing new and are ignored; anything else is an error.
"""

from __future__ import annotations

from .errors import ProtocolError, StreamClosedError, StreamLimitError

WINDOW = 262_144
"""Bytes of credit per stream and direction: at the start, and at most. The same on both sides."""

_MAX_STREAM = 0xFFFF_FFFF  # the header's u32


class Stream:
    """One live stream, as one side sees it. Sizes and credits are in bytes.

    ``sending`` until we send END or RESET; ``receiving`` until the peer's END; ``draining`` once
    we sent RESET and the peer's last frame is still to come.
    """

    __slots__ = (
        "_batch",
        "_owed",
        "_receive_credit",
        "_unconsumed",
        "_unsent",
        "draining",
        "id",
        "receiving",
        "send_credit",
        "sending",
    )

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.sending = True
        self.receiving = True
        self.draining = False
        self.send_credit = WINDOW  # what we may send
        self._receive_credit = WINDOW  # what the peer may send
        self._unconsumed = 0  # received, and still with our application
        self._owed = 0  # consumed, and not granted back yet
        self._batch = 0  # of output, the last with DATA or the end of our direction ...
        self._unsent = 0  # ... and the DATA in it

    def sent(self, size: int, batch: int) -> None:
        """Note that ``size`` bytes of DATA went into an output batch."""
        if batch != self._batch:
            self._batch, self._unsent = batch, 0
        self._unsent += size
        self.send_credit -= size

    def stop_sending(self, batch: int) -> None:
        """Note that END, or RESET in its place, went into an output batch."""
        self.sent(0, batch)
        self.sending = False

    def may_be_known(self, batch: int) -> bool:
        """Whether the peer may have read all we sent, ``batch`` being still untaken."""
        return self._batch != batch

    def credited(self, amount: int, batch: int) -> bool:
        """Add what the peer granted; return whether we could send nothing before.

        Raises ``ProtocolError`` when it grants more than it can have received.
        """
        unsent = self._unsent if batch == self._batch else 0
        if self.send_credit + unsent + amount > WINDOW:
            raise ProtocolError(
                f"CREDIT of {amount} bytes on stream {self.id}, "
                f"when {WINDOW - self.send_credit - unsent} were outstanding"
            )
        stalled = self.send_credit == 0
        self.send_credit += amount
        return stalled

    def received(self, size: int) -> None:
        """Note ``size`` bytes of DATA; raise ``ProtocolError`` unless END and credit allow them."""
        if not self.receiving:
            raise ProtocolError(f"DATA on stream {self.id} after its END")
        if size > self._receive_credit:
            raise ProtocolError(
                f"DATA of {size} bytes on stream {self.id}, "
                f"which has {self._receive_credit} bytes of credit"
            )
        self._receive_credit -= size
        if not self.draining:
            self._unconsumed += size

    def consumed(self, size: int) -> int:
        """Note that the application is done with ``size`` bytes; return the credit to grant now.

        Small debts wait: a CREDIT for each read would cost more than it frees. Half a window left
        keeps the peer sending meanwhile. Raises ``ValueError`` for more than was received.
        """
        if not 0 <= size <= self._unconsumed:
            raise ValueError(f"{size} bytes consumed of {self._unconsumed} on stream {self.id}")
        self._unconsumed -= size
        self._owed += size
        if self._owed < WINDOW // 2 or not self.receiving or self.draining:
            return 0
        grant, self._owed = self._owed, 0
        self._receive_credit += grant
        return grant


class StreamTable:
    """The live streams of both sides, found by id; odd ids are the host's, even the guest's.

    Ids are used in order without gaps, so whether one was ever opened needs no memory of it.
    """

    __slots__ = ("_leaving", "_live", "_max_streams", "_next", "_streams")

    def __init__(self, max_streams: int) -> None:
        self._max_streams = max_streams  # of each side
        self._streams: dict[int, Stream] = {}
        # Below, index 0 is for even ids and 1 for odd ones.
        self._next = [2, 1]
        self._live = [0, 0]
        self._leaving = [0, 0]  # counted in _live until the next batch of output is taken

    def get(self, stream_id: int) -> Stream | None:
        """Return the live stream with this id, which may be the peer's invention."""
        return self._streams.get(stream_id)

    def find(self, stream_id: int) -> Stream | None:
        """Return the live stream; None if it is gone. Raises ``ValueError`` if it never was."""
        stream = self._streams.get(stream_id)
        if stream is None and not self.was_opened(stream_id):
            raise ValueError(f"stream {stream_id} was never opened")
        return stream

    def find_sending(self, stream_id: int) -> Stream:
        """Return the live stream if we may send on it, or raise ``StreamClosedError``."""
        stream = self.find(stream_id)
        if stream is None or not stream.sending:
            raise StreamClosedError(f"stream {stream_id} is closed for sending")
        return stream

    def ids(self) -> list[int]:
        """Return the ids of all live streams, in the order of opening."""
        return list(self._streams)

    def was_opened(self, stream_id: int) -> bool:
        """Whether a stream ever had this id."""
        return 0 < stream_id < self._next[stream_id & 1]

    def next_id(self, parity: int) -> int:
        """Return the id the side with odd (1) or even (0) ids must use next."""
        return self._next[parity]

    def add(self, parity: int) -> Stream:
        """Open the next stream of a side; raise ``StreamLimitError`` if it may have no more."""
        stream_id = self._next[parity]
        if self._live[parity] >= self._max_streams:
            raise StreamLimitError(f"{self._live[parity]} streams are live, the most allowed")
        if stream_id > _MAX_STREAM:
            raise StreamLimitError("every stream id has been used")
        stream = self._streams[stream_id] = Stream(stream_id)
        self._next[parity] += 2
        self._live[parity] += 1
        return stream

    def forget(self, stream: Stream, batch: int) -> None:
        """Drop a stream whose both directions are over.

        It still counts while our last word on it lies in the untaken ``batch``: an honest peer
        holds it live for as long, and one that does not read must not make us queue without limit.
        """
        del self._streams[stream.id]
        if stream.may_be_known(batch):
            self._live[stream.id & 1] -= 1
        else:
            self._leaving[stream.id & 1] += 1

    def batch_taken(self) -> None:
        """Stop counting the streams whose last word has left."""
        for parity in (0, 1):
            self._live[parity] -= self._leaving[parity]
            self._leaving[parity] = 0
