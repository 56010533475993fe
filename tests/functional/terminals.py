"""A person's side of a terminal, and of whatever else a program writes to."""

from __future__ import annotations

import os
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 60.0  # seconds; only what does not come at all takes as long


class Reader:
    """What comes out of a terminal or pipe, piece by piece."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._unread = b""

    def until(self, pattern: bytes) -> bytes:
        """Wait for ``pattern``, a regular expression; return what came up to its end."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._unread)):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._fd], [], [], max(left, 0))
            assert ready, f"no {pattern!r} in {self._unread!r}"
            chunk = os.read(self._fd, 1 << 16)
            assert chunk, f"ended with no {pattern!r} in {self._unread!r}"
            self._unread += chunk
        text, self._unread = self._unread[: found.end()], self._unread[found.end() :]
        return text


class Terminal(Reader):
    """A pseudo-terminal: a person's side of it to use, and the other one for a program."""

    def __init__(self, rows: int, columns: int) -> None:
        # Nothing here holds the inner side as a controlling terminal, hence O_NOCTTY in openpty.
        self.outer, self.inner = os.openpty()
        super().__init__(self.outer)
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        """Change the size as a window does: the kernel sends SIGWINCH to the program inside."""
        termios.tcsetwinsize(self.outer, (rows, columns))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.outer, keys)

    @property
    def modes(self) -> list[Any]:
        """How the terminal treats keys and output."""
        return termios.tcgetattr(self.inner)

    @property
    def is_raw(self) -> bool:
        """Tell whether keys go to the program one by one, Ctrl-C among them."""
        return not self.modes[3] & (termios.ECHO | termios.ICANON | termios.ISIG)

    def close(self) -> None:
        """Give both sides back."""
        os.close(self.outer)
        os.close(self.inner)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no process behind, however the test ends."""
    try:
        yield
    finally:
        process.kill()
