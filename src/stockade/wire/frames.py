"""Frames: how the bytes of many streams share one channel.

A frame is a header of eight bytes, big-endian, and a payload::

    kind u8 | payload length u24 | stream u32 | payload

The header alone decides whether a frame is legal, so a payload that will be refused is neither
awaited nor kept. At most one unfinished frame is ever buffered.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from .errors import ProtocolError

VERSION = 1
"""The protocol version this code speaks; there is no negotiation, both ends ship together."""

MAX_PAYLOAD = 65_536
"""Most bytes in one payload (only DATA may use them all)."""

MAX_OPEN_PAYLOAD = 4096
"""Most bytes an OPEN may carry to say what the stream is for."""

MAX_REASON = 256
"""Most bytes of UTF-8 in the reason of a RESET."""

HEADER_SIZE = 8
"""Bytes in a header."""

MAGIC = b"stockade"
"""How a HELLO begins, so that a channel wired to something else fails at its first frame."""


class Kind(IntEnum):
    """What a frame does; the number is its first byte."""

    HELLO = 1
    OPEN = 2
    DATA = 3
    CREDIT = 4
    END = 5
    RESET = 6


Frame = tuple[Kind, int, bytes | bytearray]
"""(kind, stream, payload). A plain tuple because one is made for every frame under emulation."""

# An attribute of an enum costs three times a global: these two are looked up for every frame.
_HELLO, _CREDIT = Kind.HELLO, Kind.CREDIT

_HEADER = Struct(">II")  # kind and length share the first word: struct has no u24

_SIZES = {
    1: (Kind.HELLO, len(MAGIC) + 2, len(MAGIC) + 2),
    2: (Kind.OPEN, 0, MAX_OPEN_PAYLOAD),
    3: (Kind.DATA, 1, MAX_PAYLOAD),
    4: (Kind.CREDIT, 4, 4),
    5: (Kind.END, 0, 0),
    6: (Kind.RESET, 0, MAX_REASON),
}


def encode_header(kind: Kind, stream: int, length: int) -> bytes:
    """Return the eight bytes that go before a payload of ``length`` bytes.

    Raises ``ValueError`` for a length or stream that no header can hold.
    """
    if not (0 <= length <= MAX_PAYLOAD and 0 <= stream <= 0xFFFF_FFFF):
        raise ValueError(f"no header for a payload of {length} bytes on stream {stream}")
    return _HEADER.pack(kind << 24 | length, stream)


def encode_reason(reason: str) -> bytes:
    """Return the payload of a RESET, cut to ``MAX_REASON`` bytes where no character is split."""
    encoded = reason.encode(errors="replace")
    if len(encoded) > MAX_REASON:
        encoded = encoded[:MAX_REASON].decode(errors="ignore").encode()
    return encoded


class FrameDecoder:
    """Bytes in, frames out, whatever the chunks they arrive in.

    The first violation is final: every later :meth:`feed` raises it again.
    """

    __slots__ = ("_failure", "_partial")

    def __init__(self) -> None:
        self._partial = bytearray()  # of one frame: some of its header, or that and some payload
        self._failure = ""

    @property
    def buffered(self) -> int:
        """Bytes held of an unfinished frame; less than ``HEADER_SIZE + MAX_PAYLOAD``."""
        return len(self._partial)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Return the frames that ``data`` completes; ``data`` may be reused afterwards.

        A payload that lies whole in ``data`` is copied once, out of it; one broken over several
        chunks is gathered in a ``bytearray`` of its own, which becomes the payload.

        Raises ``ProtocolError``; the good frames before the bad one, if in ``data``, are lost.
        """
        if self._failure:
            raise ProtocolError(self._failure)
        try:
            return self._decode(memoryview(data))
        except ProtocolError as error:
            self._failure = str(error)
            self._partial = bytearray()
            raise

    def _decode(self, view: memoryview) -> list[Frame]:
        frames: list[Frame] = []
        position = self._resume(view, frames) if self._partial else 0
        end = len(view)
        while end - position >= HEADER_SIZE:
            kind, stream, length = _parse_header(view, position)
            start = position + HEADER_SIZE
            if end - start < length:
                break
            position = start + length
            frames.append(_checked(kind, stream, view[start:position].tobytes()))
        self._partial += view[position:]
        return frames

    def _resume(self, view: memoryview, frames: list[Frame]) -> int:
        """Go on with the frame the last chunk broke off in; return how much of ``view`` it took."""
        partial = self._partial
        used = max(0, HEADER_SIZE - len(partial))
        partial += view[:used]
        if len(partial) < HEADER_SIZE:
            return len(view)
        kind, stream, length = _parse_header(partial, 0)
        missing = HEADER_SIZE + length - len(partial)
        if len(view) - used < missing:
            partial += view[used:]
            return len(view)
        partial += view[used : used + missing]
        self._partial = bytearray()
        del partial[:HEADER_SIZE]  # moves a pointer, not the bytes
        frames.append(_checked(kind, stream, partial))
        return used + missing


def _parse_header(buffer: bytearray | memoryview, offset: int) -> tuple[Kind, int, int]:
    """Return kind, stream and payload length; raise ``ProtocolError`` unless they are legal."""
    word, stream = _HEADER.unpack_from(buffer, offset)
    number, length = word >> 24, word & 0xFF_FFFF
    if number not in _SIZES:
        raise ProtocolError(f"unknown frame kind {number}")
    kind, least, most = _SIZES[number]
    if not least <= length <= most:
        raise ProtocolError(f"{kind.name} with {length} bytes of payload, not {least} to {most}")
    if (kind is _HELLO) != (stream == 0):
        raise ProtocolError(f"{kind.name} on stream {stream}")
    return kind, stream, length


def _checked(kind: Kind, stream: int, payload: bytes | bytearray) -> Frame:
    if kind is _CREDIT and not any(payload):
        raise ProtocolError(f"CREDIT of 0 bytes on stream {stream}")
    if kind is _HELLO and not payload.startswith(MAGIC):
        raise ProtocolError(f"HELLO that begins {bytes(payload[:8])!r}")
    return kind, stream, payload
