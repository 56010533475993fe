"""Bytes into lines, as MCP's stdio transport frames its messages; sans-I/O, bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class LineTooLongError(Exception):
    """A line has more bytes than are taken; nothing that follows can be trusted to begin one."""


class Lines:
    """Lines of at most ``most`` bytes, without their ends; empty ones are left out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take bytes and yield the lines that they complete; take all of it before the next."""
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            self._add(chunk[begin:end])
            line, self._rest = bytes(self._rest).strip(b"\r "), bytearray()
            begin = end + 1
            if line:
                yield line
        self._add(chunk[begin:])

    def _add(self, part: bytes) -> None:
        if len(self._rest) + len(part) > self._most:
            self._rest = bytearray()
            raise LineTooLongError(f"a line of more than {self._most} bytes")
        self._rest += part
