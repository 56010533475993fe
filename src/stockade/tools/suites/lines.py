"""Lines out of bytes that come in any chunks, each of bounded length."""

from __future__ import annotations

MOST = 256 * 1024
"""Bytes of a line; of a longer one the rest is lost."""


class Lines:
    """Bytes in, whole lines out, as text without their ends."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[str]:
        """Give the lines that ``chunk`` completes."""
        first, *others = chunk.split(b"\n")
        self._keep(first)
        lines = []
        for other in others:
            lines.append(self.end())
            self._keep(other)
        return lines

    def end(self) -> str:
        """Give what there is of a line that has no end."""
        line = self._rest.decode(errors="replace").removesuffix("\r")
        self._rest.clear()
        return line

    def _keep(self, part: bytes) -> None:
        self._rest += part[: max(0, self._most - len(self._rest))]
