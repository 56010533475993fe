"""What :meth:`Connection.receive` reports: one small object for each thing the peer did.

They compare by value and work in ``match``. Hand-written instead of named tuples or dataclasses:
those cost the guest an import and a code generation for each class before its first byte.
"""

from __future__ import annotations


class _Record:
    """Fields, in order, are ``__match_args__``."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()
    __hash__ = None  # type: ignore[assignment]  # payloads may be bytearrays

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            getattr(self, name) == getattr(other, name) for name in self.__match_args__
        )

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({fields})"


class PeerReady(_Record):
    """The peer's HELLO came; always the first event, and once."""

    __slots__ = __match_args__ = ("version",)

    def __init__(self, version: int) -> None:
        self.version = version


class StreamOpened(_Record):
    """The peer opened a stream; ``payload`` says what for, in at most 4096 bytes."""

    __slots__ = __match_args__ = ("stream", "payload")

    def __init__(self, stream: int, payload: bytes | bytearray) -> None:
        self.stream = stream
        self.payload = payload


class DataReceived(_Record):
    """The next 1 to 65,536 bytes of a stream, the receiver's to keep.

    Report them with :meth:`Connection.consumed` once they are truly gone: credit is what bounds
    the receiver's memory. Append them to one buffer rather than queue the events, for a hostile
    peer sends its window as 262,144 events of one byte.
    """

    __slots__ = __match_args__ = ("stream", "data")

    def __init__(self, stream: int, data: bytes | bytearray) -> None:
        self.stream = stream
        self.data = data


class StreamWritable(_Record):
    """The peer granted credit on a stream that had run out of it; a new stream has some."""

    __slots__ = __match_args__ = ("stream",)

    def __init__(self, stream: int) -> None:
        self.stream = stream


class StreamEnded(_Record):
    """The peer has sent its last byte on this stream; it may still receive."""

    __slots__ = __match_args__ = ("stream",)

    def __init__(self, stream: int) -> None:
        self.stream = stream


class StreamReset(_Record):
    """The peer abandoned the stream in both directions; the id is gone.

    ``reason`` is at most 256 characters of the peer's choosing: never print it raw to a terminal.
    """

    __slots__ = __match_args__ = ("stream", "reason")

    def __init__(self, stream: int, reason: str) -> None:
        self.stream = stream
        self.reason = reason


Event = PeerReady | StreamOpened | DataReceived | StreamWritable | StreamEnded | StreamReset
