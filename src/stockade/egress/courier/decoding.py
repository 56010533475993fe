"""Undoes the compression of an answer, within bounds.

Answers are asked for without any, but not every server listens.
"""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from stockade.egress.courier.fields import Fields, tokens
from stockade.egress.courier.problems import BrokenOffError, Undeliverable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DECODED = 256 * 1024 * 1024
"""Bytes that one compressed answer may become."""

_PIECE = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """Reads gzip (RFC 1952), one member after the other, in pieces of bounded size."""

    def __init__(self, most: int = MAX_DECODED) -> None:
        self._left = most
        self._inflate = zlib.decompressobj(_GZIP)
        self._fresh = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Give what ``chunk`` decodes to; BrokenOffError if it is not gzip or becomes too much."""
        while True:
            if self._inflate.eof:
                self._inflate, self._fresh = zlib.decompressobj(_GZIP), True
            try:
                piece = self._inflate.decompress(chunk, _PIECE)
            except zlib.error:
                raise BrokenOffError("the answer is not the gzip that it says it is") from None
            self._fresh = self._fresh and not chunk
            self._left -= len(piece)
            if self._left < 0:
                raise BrokenOffError("the answer decompresses to more than is taken")
            if piece:
                yield piece
            chunk = self._inflate.unused_data or self._inflate.unconsumed_tail
            # A full piece may have more behind it even when nothing is left to read.
            if not chunk and (self._inflate.eof or len(piece) < _PIECE):
                return

    def end(self) -> None:
        """BrokenOffError if the stream ends before its content does."""
        if not (self._fresh or self._inflate.eof):
            raise BrokenOffError("the answer's compressed content ends early")


def decoder(fields: Fields) -> Gunzip | None:
    """What decodes an answer with these fields; Undeliverable for a coding that is not known."""
    codings = [coding for coding in tokens(fields, b"content-encoding") if coding != b"identity"]
    if not codings:
        return None
    if codings in ([b"gzip"], [b"x-gzip"]):
        return Gunzip()
    raise Undeliverable(
        HTTPStatus.BAD_GATEWAY,
        "the server compressed its answer in a way that cannot be searched for secrets",
    )
