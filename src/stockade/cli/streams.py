"""The process's own standard streams as a command's: bytes exact, bounded, never blocking the loop.

Ordinary files and the like cannot be polled; pipes and terminals can but may block in the middle of
a write. So input is waited for where that works, and output is written by a thread.
"""

from __future__ import annotations

import base64
import os
import select
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stockade.model.errors import StockadeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CHUNK = 1 << 16


class InheritedStreams:
    """Standard input, output and error of this process; ``output`` is another file for output."""

    def __init__(self, *, output: int = 1) -> None:
        self._output = output

    async def input(self) -> AsyncIterator[bytes]:
        """Yield standard input until its end."""
        pollable = True
        while True:
            if pollable:
                try:
                    await anyio.wait_readable(0)
                except OSError:  # an ordinary file, /dev/null, or closed: reading never waits
                    pollable = False
            try:
                chunk = os.read(0, _CHUNK) if pollable else await to_thread.run_sync(_read)
            except OSError:  # EIO: the terminal is gone; EBADF: there never was an input
                return
            if not chunk:
                return
            yield chunk

    async def give_output(self, chunk: bytes) -> None:
        """Write to standard output."""
        await _give(self._output, "output", chunk)

    async def give_error(self, chunk: bytes) -> None:
        """Write to standard error."""
        await _give(2, "error", chunk)


class CollectedStreams(InheritedStreams):
    """Standard input of this process; output kept, for one JSON document at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.output, self.error = bytearray(), bytearray()

    async def give_output(self, chunk: bytes) -> None:
        """Keep the bytes; the output limit bounds them."""
        self.output += chunk

    async def give_error(self, chunk: bytes) -> None:
        """Keep the bytes; the output limit bounds them."""
        self.error += chunk


def as_text(data: bytes | bytearray) -> dict[str, str]:
    """Bytes as a JSON value: text where it is UTF-8, base64 where it is not."""
    try:
        return {"encoding": "utf-8", "data": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(data).decode("ascii")}


async def _give(fd: int, name: str, chunk: bytes) -> None:
    try:
        await to_thread.run_sync(_write, fd, chunk, abandon_on_cancel=True)
    except BrokenPipeError:
        raise  # nobody wants it: no failure
    except OSError as error:
        raise StockadeError(f"cannot write standard {name}: {error.strerror}") from None


def _read() -> bytes:
    return os.read(0, _CHUNK)


def _write(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # whoever shares the pipe or terminal with us made it so
            select.select([], [fd], [])
