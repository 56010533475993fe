"""Frames on their way out, in order, and how much of them is waiting.

Bytes leave in batches, one for each :meth:`Output.take`. Knowing the batch of a frame tells
whether the peer can possibly have seen it, which is what catches a peer that acknowledges bytes
still lying here and would have us queue more and more of them.
"""

from __future__ import annotations

from .frames import MAX_PAYLOAD, Kind, encode_header

_DATA = Kind.DATA


class Output:
    """A queue of buffers; ``batch`` numbers the one being filled.

    ``size`` counts all bytes waiting, ``replies`` those of CREDIT, END and RESET.
    """

    __slots__ = ("_buffers", "batch", "replies", "size")

    def __init__(self) -> None:
        self._buffers: list[bytes | memoryview] = []
        self.batch = 1
        self.size = 0
        self.replies = 0

    def put(self, kind: Kind, stream: int, payload: bytes = b"") -> None:
        """Queue one frame that carries no stream data."""
        frame = encode_header(kind, stream, len(payload)) + payload
        self._buffers.append(frame)
        self.size += len(frame)
        if kind >= Kind.CREDIT:
            self.replies += len(frame)

    def put_data(self, stream: int, data: bytes | bytearray | memoryview, size: int) -> None:
        """Queue the first ``size`` bytes of ``data`` as DATA frames.

        ``bytes`` are queued as they are; what the caller might change later is copied once.
        """
        view = memoryview(data)[:size]
        if not isinstance(data, bytes):
            view = memoryview(bytes(view))
        for start in range(0, size, MAX_PAYLOAD):
            payload = view[start : start + MAX_PAYLOAD]
            header = encode_header(_DATA, stream, len(payload))
            self._buffers += (header, payload)
            self.size += len(header) + len(payload)

    def take(self) -> list[bytes | memoryview]:
        """Return what waits, and begin the next batch."""
        buffers, self._buffers = self._buffers, []
        self.batch += 1
        self.size = self.replies = 0
        return buffers
