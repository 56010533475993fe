"""A machine's end of streams, in memory."""

from __future__ import annotations

import anyio

from stockade.model.errors import MachineError


class Pipe:
    """One stream as the door has it, and what the machine says and hears on it."""

    def __init__(self) -> None:
        self._said = bytearray()
        self._finished = False
        self.heard = bytearray()
        self.ended = False
        self.abandoned = ""
        self.full = False  # whether the machine takes nothing more
        self._changed = anyio.Event()

    # What the machine does.

    def say(self, data: bytes) -> None:
        self._said += data
        self._change()

    def finish(self) -> None:
        self._finished = True
        self._change()

    async def until(self, size: int) -> bytes:
        """Wait until so many bytes have been heard, or no more will be."""
        while len(self.heard) < size and not self.ended and not self.abandoned:
            await self._changed.wait()
        return bytes(self.heard)

    # What the door does.

    async def receive(self, most: int = 1 << 16) -> bytes:
        while not self._said and not self._finished and not self.abandoned:
            await self._changed.wait()
        if self.abandoned:
            raise MachineError(self.abandoned)
        chunk = bytes(self._said[:most])
        del self._said[:most]
        return chunk

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        if self.full:
            raise BrokenPipeError("the stream is closed")
        self.heard += data
        self._change()

    def end(self) -> None:
        self.ended = True
        self._change()

    def abandon(self, reason: str) -> None:
        self.abandoned = self.abandoned or reason
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
