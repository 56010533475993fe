"""Cuts a stream of server-sent events into events, and gives back every byte of it.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stockade.egress.courier.problems import BrokenOffError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event, which may hold a whole response."""

_LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
# A CR at the very end may yet turn out to be the first half of a CR LF.
_EVENT_END = re.compile(_LINE_END + rb"(?:\r\n|\n|\r(?=[^\n]))")
_LINES = re.compile(r"\r\n|\n|\r")
_BACK = 3


class Events:
    """Takes chunks and gives events, each with the empty line that ends it."""

    def __init__(self, most: int = MAX_EVENT) -> None:
        self._most = most
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Give the events that ``chunk`` completes; BrokenOffError if one is too long."""
        # All before was searched, but for an end that may have been cut in two.
        start = max(0, len(self._buffer) - _BACK)
        self._buffer += chunk
        begin = 0
        while match := _EVENT_END.search(self._buffer, start):
            if match.end() - begin > self._most:
                break
            yield bytes(self._buffer[begin : match.end()])
            begin = start = match.end()
        del self._buffer[:begin]
        if len(self._buffer) > self._most:
            raise BrokenOffError("an event of the answer is too long")

    def rest(self) -> bytes:
        """What is left when nothing follows: no event, since its end is missing."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


def data(event: bytes) -> str:
    """The data of an event; what is not UTF-8 is replaced."""
    lines = _LINES.split(event.decode("utf-8", errors="replace").removeprefix("\ufeff"))
    parts = [line.partition(":") for line in lines]
    return "\n".join(text.removeprefix(" ") for name, _, text in parts if name == "data")
