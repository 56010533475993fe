"""What every backend takes and gives, so that nothing above it knows which one it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """A read-only disk: the guest finds it by ``serial``; ``fd`` is open for reading."""

    serial: str
    fd: int


@dataclass(frozen=True)
class Hardware:
    """The machine to build. ``memory`` is its RAM in bytes."""

    machine: str
    cpus: int
    memory: int
    kernel: Path
    initramfs: Path
    disks: tuple[Disk, ...]


class RunningMachine(Protocol):
    """A machine that was started. It is gone, with all it held on the host, after ``close``."""

    channel: socket.socket

    @property
    def pid(self) -> int:
        """The process id of the hypervisor on the host."""
        ...

    async def wait(self) -> str:
        """Wait until the machine has ended; return what can be said about why, or ""."""
        ...

    async def close(self) -> None:
        """End the machine now, if it still runs, and remove its traces. May be called twice."""
        ...


class Backend(Protocol):
    """One way to build machines."""

    @property
    def name(self) -> str:
        """What the user reads of it, such as ``qemu-microvm``."""
        ...

    async def start(self, hardware: Hardware) -> RunningMachine:
        """Start a machine; its agent will speak on ``channel``.

        Raises ``MissingToolError`` or ``MachineError``. The disks' descriptors may be closed
        afterwards.
        """
        ...
