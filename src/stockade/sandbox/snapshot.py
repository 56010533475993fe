"""The state of a machine's devices and processors, saved from one machine and loaded into another.

The other part of a machine at one moment is its RAM: see ``ram``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio

from stockade.model.errors import MachineError
from stockade.sandbox.converse import first_cause

if TYPE_CHECKING:
    from stockade.sandbox.backends.base import Links
    from stockade.sandbox.monitor import Monitor

_STATE_LIMIT = 16 << 20  # bytes; a machine's devices take some twenty thousand


async def save_devices(monitor: Monitor, links: Links) -> bytes:
    """Return the state of devices and processors of a machine that is stopped.

    QEMU writes it as it would for a migration, without RAM (``xen-save-devices-state``, which needs
    no Xen). It goes through a pipe: files are what the jail forbids to write.
    """
    saved = bytearray()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, links.saved, saved)
            await monitor.command("xen-save-devices-state", filename=links.saved_name, live=False)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_cause(group) from None
    while _take(links.saved, saved):
        pass
    if not 0 < len(saved) <= _STATE_LIMIT:
        raise MachineError(f"the hypervisor saved {len(saved)} bytes of state")
    return bytes(saved)


async def load_devices(monitor: Monitor, state: int) -> None:
    """Let a machine that was started ``deferred`` go on; ``state`` is its inherited descriptor."""
    await monitor.command("migrate-incoming", uri=f"fd:{state}")


async def _read(pipe: int, into: bytearray) -> None:
    """Keep the pipe from filling up, as the hypervisor waits for room in it."""
    while len(into) <= _STATE_LIMIT:
        await anyio.wait_readable(pipe)
        _take(pipe, into)


def _take(pipe: int, into: bytearray) -> bool:
    """Take what the pipe holds, if it holds anything."""
    os.set_blocking(pipe, False)
    try:
        chunk = os.read(pipe, 1 << 16)
    except BlockingIOError:
        return False
    into += chunk
    return bool(chunk) and len(into) <= _STATE_LIMIT
