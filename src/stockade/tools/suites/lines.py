"""Lines out of bytes that come in any chunks, each of bounded length."""

from __future__ import annotations

from abc import ABC, abstractmethod

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


class LineReader(ABC):
    """Takes a report and what the compiler says line by line; see ``report.Reader``."""

    def __init__(self) -> None:
        self._output, self._error = Lines(), Lines()

    def output(self, chunk: bytes) -> None:
        """Take the next bytes of the report."""
        for line in self._output.feed(chunk):
            self._take(line)

    def error(self, chunk: bytes) -> None:
        """Take what the compiler says."""
        for line in self._error.feed(chunk):
            self._compile(line)

    def end(self) -> None:
        """Take what has no end of line after it."""
        self._take(self._output.end())
        self._compile(self._error.end())

    @abstractmethod
    def _take(self, line: str) -> None: ...

    @abstractmethod
    def _compile(self, line: str) -> None: ...
