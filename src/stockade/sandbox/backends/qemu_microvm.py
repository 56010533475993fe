"""The ``microvm`` wall by QEMU's machine of that name: no PCI, no firmware, six virtio devices.

Works without hardware virtualization (TCG), and with it where KVM has proved itself. Options are
those of QEMU 7.2 and later; see ``docs/system/i386/microvm.rst`` in its source.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import MissingToolError
from stockade.sandbox.cgroups import Ceiling
from stockade.sandbox.confined import ConfinedProcess
from stockade.sandbox.jail import Jail

if TYPE_CHECKING:
    from stockade.sandbox.backends.base import Hardware

PROGRAM = "qemu-system-x86_64"
PACKAGE = "qemu-system-x86"
_FIRMWARE = (Path("/usr/share/qemu"), Path("/usr/share/seabios"))
_KERNEL, _INITRAMFS = "/machine/kernel", "/machine/initramfs"
_MIB = 1 << 20
# Memory of QEMU itself besides the guest's RAM: translated code, and everything else.
_TRANSLATION = 256
_OVERHEAD = 256
# pit=on: without it the timer of a uniprocessor kernel fails its check, and every sleep hangs.
_MACHINE = "microvm,acpi=on,pit=on,rtc=on,isa-serial=on,x-option-roms=off"
_KERNEL_LINE = (
    "console=ttyS0 quiet loglevel=3 panic=-1 tsc=reliable no_timer_check random.trust_cpu=on"
)


@dataclass(frozen=True)
class QemuMicrovm:
    """The backend. ``kvm`` says whether to use hardware virtualization."""

    kvm: bool = False
    name: str = "qemu-microvm"

    async def start(self, hardware: Hardware) -> ConfinedProcess:
        """Start QEMU in its jail, the channel and the disks handed over as open descriptors."""
        program = find_program()
        jail = Jail(
            program,
            folders=_FIRMWARE,
            files={hardware.kernel: _KERNEL, hardware.initramfs: _INITRAMFS},
            devices=(Path("/dev/kvm"),) if self.kvm else (),
        )
        ceiling = Ceiling(
            memory=hardware.memory + (_TRANSLATION + _OVERHEAD) * _MIB,
            cpus=hardware.cpus + 0.5,  # the half is for QEMU's own thread, which moves the data
            tasks=hardware.cpus + 48,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            return await ConfinedProcess.start(
                jail,
                command_line(hardware, channel=theirs.fileno(), kvm=self.kvm),
                machine=hardware.machine,
                ceiling=ceiling,
                channel=ours,
                pass_fds=[theirs.fileno(), *(disk.fd for disk in hardware.disks)],
            )


def find_program() -> Path:
    """The QEMU to use: ``STOCKADE_QEMU_BIN``, or what PATH has."""
    chosen = os.environ.get("STOCKADE_QEMU_BIN") or shutil.which(PROGRAM)
    if not chosen or not os.access(chosen, os.X_OK):
        raise MissingToolError(
            f"{chosen or PROGRAM} is not installed", hint=f"Run: apt install {PACKAGE}"
        )
    return Path(chosen)


def command_line(hardware: Hardware, *, channel: int, kvm: bool) -> list[str]:
    """QEMU's arguments. Nothing in them is secret, and nothing is named that has no need to be."""
    accelerator = "kvm" if kvm else f"tcg,thread=multi,tb-size={_TRANSLATION}"
    options = [
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", _MACHINE, "-accel", accelerator, "-cpu", "host" if kvm else "max"),
        *("-smp", str(hardware.cpus), "-m", f"{hardware.memory // _MIB}M"),
        *("-kernel", _KERNEL, "-initrd", _INITRAMFS, "-append", _kernel_line(kvm=kvm)),
        # The kernel's last words when the agent cannot speak; a pipe that keeps only its end.
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-device", "virtio-serial-device,max_ports=2"),
        *("-chardev", f"socket,id=channel,fd={channel}"),
        *("-device", "virtserialport,chardev=channel,name=stockade"),
    ]
    for number, disk in enumerate(hardware.disks, start=1):
        options += [
            *("-add-fd", f"fd={disk.fd},set={number}"),
            *("-blockdev", _block(number)),
            *("-device", f"virtio-blk-device,drive=disk{number},serial={disk.serial}"),
        ]
    return options


def _kernel_line(*, kvm: bool) -> str:
    """The guest kernel's parameters; see ``admin-guide/kernel-parameters`` in its documentation.

    An emulated guest measures its clock against an emulated timer, which fails on a busy host and
    leaves the kernel hanging. Its clock is the host's, so it can be told instead.
    """
    khz = None if kvm else _clock_khz()
    return f"{_KERNEL_LINE} tsc_early_khz={khz}" if khz else _KERNEL_LINE


def _clock_khz() -> int | None:
    """The rate of the host's time stamp counter: the kernel's BogoMIPS are twice that in MHz."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^bogomips\s*:\s*(\d+)\.(\d\d)$", cpuinfo, re.MULTILINE)
    return int(match[1] + match[2]) * 5 if match else None


def _block(number: int) -> str:
    return (
        f"driver=raw,node-name=disk{number},read-only=on,"
        f"file.driver=file,file.filename=/dev/fdset/{number},file.locking=off"
    )
