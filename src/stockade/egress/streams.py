"""What the door needs of a stream to a machine, and bytes carried between it and a socket."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import anyio

from stockade.model.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import ByteStream

_CHUNK = 1 << 16
IDLE = 600.0
"""Seconds that a connection may carry nothing in either direction."""


class GuestStream(Protocol):
    """One connection of the machine's; ``stockade.sandbox.channel.Stream`` is one."""

    async def receive(self, most: int = _CHUNK) -> bytes:
        """The next bytes, or b"" after the last; ``MachineError`` if it was cut off."""
        ...

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; ``BrokenPipeError`` when no more is taken."""
        ...

    def end(self) -> None:
        """Send no more."""
        ...

    def abandon(self, reason: str) -> None:
        """Close both directions at once."""
        ...


async def carry(
    guest: GuestStream, upstream: ByteStream, *, count: Callable[[int, int], None]
) -> None:
    """Carry bytes both ways until both sides have ended, or one is cut off.

    ``count`` is told of the bytes that went out and came in. Closes ``upstream``.
    """
    patience = anyio.CancelScope()

    def note(sent: int, received: int) -> None:
        patience.deadline = anyio.current_time() + IDLE
        count(sent, received)

    note(0, 0)
    try:
        with patience:
            async with upstream, anyio.create_task_group() as tasks:
                tasks.start_soon(_out, guest, upstream, note)
                tasks.start_soon(_back, guest, upstream, note)
    except* (MachineError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        guest.abandon("the connection was cut off")
    if patience.cancelled_caught:
        guest.abandon("nothing moved for too long")


async def _out(guest: GuestStream, upstream: ByteStream, note: Callable[[int, int], None]) -> None:
    while chunk := await guest.receive(_CHUNK):
        await upstream.send(chunk)
        note(len(chunk), 0)
    await upstream.send_eof()


async def _back(guest: GuestStream, upstream: ByteStream, note: Callable[[int, int], None]) -> None:
    with suppress(anyio.EndOfStream):
        while True:
            chunk = await upstream.receive(_CHUNK)
            await guest.send(chunk)
            note(0, len(chunk))
    guest.end()
