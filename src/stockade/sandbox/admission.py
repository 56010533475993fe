"""Whether there is memory for one more machine; if not, it waits its turn or is refused.

A machine starts small and may grow to its limits. What is asked here is that the host keeps a
reserve after the start; the limits are the cgroup's to keep.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.model.errors import MachineError
from stockade.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_MIB = 1 << 20
NEED = 96 * _MIB
"""Bytes that a copied machine takes at most until its first command."""

_RESERVE = 512 * _MIB  # bytes that the host keeps, for itself and for machines that grow
_LOOK = 0.2  # seconds between looks at a host that is short of memory


class Admission:
    """Lets machines in as long as there is memory; of those that wait, at most ``queue``.

    ``available`` gives the bytes that the host can spare now; ``patience`` is in seconds.
    """

    def __init__(
        self,
        *,
        queue: int = 64,
        patience: float = 30.0,
        available: Callable[[], int] | None = None,
    ) -> None:
        self._queue, self._patience = queue, patience
        self._available = available or available_memory
        self._waiting = 0
        self._starting = 0

    @asynccontextmanager
    async def machine(self, need: int = NEED) -> AsyncIterator[None]:
        """Hold memory for a machine while it starts; raise ``MachineError`` if there is none."""
        if not self._fits(need):
            await self._wait(need)
        self._starting += need
        try:
            yield
        finally:
            self._starting -= need

    async def _wait(self, need: int) -> None:
        if self._waiting >= self._queue:
            raise self._refusal(need, f"{self._waiting} machines wait for it already")
        self._waiting += 1
        try:
            with anyio.move_on_after(self._patience):
                while not self._fits(need):  # noqa: ASYNC110 - the host tells nobody
                    await anyio.sleep(_LOOK)
                return
        finally:
            self._waiting -= 1
        raise self._refusal(need, f"none came free within {self._patience:g} s")

    def _fits(self, need: int) -> bool:
        return self._available() - self._starting >= need + _RESERVE

    def _refusal(self, need: int, why: str) -> MachineError:
        left = format_size(max(0, self._available() - self._starting), exact=False)
        wanted = format_size(need + _RESERVE, exact=False)
        return MachineError(
            f"the host is short of memory: a machine takes {wanted} and {left} are left; {why}",
            hint="End machines (see stockade ps), or use a host with more memory.",
        )


def available_memory() -> int:
    """Bytes that can be had without swapping: ``MemAvailable`` of proc(5)."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0  # no such line: nothing is known, so nothing is promised


ADMISSION = Admission()
"""What all machines of this process go through."""
