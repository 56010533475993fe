"""What every backend takes and gives, so that nothing above it knows which one it is."""

from __future__ import annotations

import os
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
class Ram:
    """A file that is the machine's RAM; unless ``shared``, what is written is copied first."""

    path: Path
    shared: bool


@dataclass(frozen=True)
class Hardware:
    """The machine to build. ``memory`` is its RAM in bytes, which is nobody's file without ``ram``.

    With ``state``, an open file of what devices and processors were like when ``ram`` was, it does
    not boot but goes on from there.
    """

    machine: str
    cpus: int
    memory: int
    kernel: Path
    initramfs: Path
    disks: tuple[Disk, ...]
    ram: Ram | None = None
    state: int | None = None
    deferred: bool = False


@dataclass(frozen=True)
class Links:
    """The host's ends of what leads into a machine.

    ``channel`` carries wire frames and ``control`` adoptions, both to the agent; ``monitor`` is the
    hypervisor's own (QMP). ``saved`` is the reading end of a pipe that the hypervisor knows as its
    file ``saved_name``, and saves the machine's state to.
    """

    channel: socket.socket
    control: socket.socket
    monitor: socket.socket
    saved: int
    saved_name: str

    def close(self) -> None:
        """Close them all. May be called once."""
        for link in (self.channel, self.control, self.monitor):
            link.close()
        os.close(self.saved)


class RunningMachine(Protocol):
    """A machine that was started. It is gone, with all it held on the host, after ``close``."""

    links: Links

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

    @property
    def accelerator(self) -> str:
        """What runs the guest's instructions, such as ``tcg``."""
        ...

    async def start(self, hardware: Hardware) -> RunningMachine:
        """Start a machine; its agent waits for an adoption.

        Raises ``MissingToolError`` or ``MachineError``. The disks' descriptors may be closed
        afterwards.
        """
        ...
