"""Text of bounded size out of what a machine says."""

from __future__ import annotations

from collections import deque


class Clip:
    """Bytes as they come, of which the first and the last ``most`` together are kept."""

    def __init__(self, most: int) -> None:
        self._head, self._room = bytearray(), most - most // 2
        self._tail: deque[bytes] = deque()
        self._tail_size, self._tail_most = 0, most // 2
        self.size = 0
        """Bytes that came, kept or not."""

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        fits = self._room - len(self._head)
        if fits > 0:
            self._head += chunk[:fits]
            chunk = chunk[fits:]
        if chunk:
            self._tail.append(chunk[-self._tail_most :] if self._tail_most else b"")
            self._tail_size += len(self._tail[-1])
        while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_most:
            self._tail_size -= len(self._tail.popleft())

    @property
    def head(self) -> str:
        """The first bytes without a gap: all of them if no more than ``most`` came."""
        whole = self.size <= self._room + self._tail_most
        return decode(bytes(self._head) + (b"".join(self._tail) if whole else b""))

    @property
    def text(self) -> str:
        """What was kept, with a mark where something is missing."""
        tail = b"".join(self._tail)
        tail = tail[max(0, len(tail) - self._tail_most) :]
        missing = self.size - len(self._head) - len(tail)
        if not missing:
            return decode(bytes(self._head) + tail)
        return f"{decode(bytes(self._head))}\n[... {missing} bytes left out ...]\n{decode(tail)}"


def clip(text: str, most: int) -> str:
    """Cut ``text`` in its middle if it is more than ``most`` bytes."""
    kept = Clip(most)
    kept.add(text.encode("utf-8", errors="replace"))
    return kept.text


def decode(data: bytes) -> str:
    """Text, with U+FFFD where there is none."""
    return data.decode("utf-8", errors="replace")


def one_line(value: object, most: int = 300) -> str:
    """What a machine says, in one line of at most ``most`` characters that a terminal may show."""
    text = str(value)
    shown = "".join(c if c.isprintable() else " " for c in text[:most]).strip()
    return shown if len(text) <= most else f"{shown}..."
