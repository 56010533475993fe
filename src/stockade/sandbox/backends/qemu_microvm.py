"""The ``microvm`` wall by QEMU's machine of that name: no PCI, no firmware, six virtio devices.

Works without hardware virtualization (TCG), and with it where KVM has proved itself. Options are
those of QEMU 7.2 and later; see ``docs/system/i386/microvm.rst`` in its source.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stockade.model.errors import MissingToolError
from stockade.sandbox import callfilter
from stockade.sandbox.backends.base import Links
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
_MACHINE = "microvm,acpi=on,pit=on,rtc=on,isa-serial=on,x-option-roms=off,suppress-vmdesc=on"
_KERNEL_LINE = (
    "console=ttyS0 quiet loglevel=3 panic=-1 tsc=reliable no_timer_check random.trust_cpu=on "
    "rcupdate.rcu_expedited=1 psi=0 nowatchdog transparent_hugepage=madvise lsm=landlock,yama"
)
_FEW = 8  # virtio devices that the machine has room for without its second interrupt controller

# Emulated code does not speculate, so that what guards against it in the guest only costs time.
_EMULATED = "mitigations=off"


@dataclass(frozen=True)
class QemuMicrovm:
    """The backend. ``kvm`` says whether to use hardware virtualization."""

    kvm: bool = False
    name: str = "qemu-microvm"

    @property
    def accelerator(self) -> str:
        """``kvm``, or QEMU's own emulation."""
        return "kvm" if self.kvm else "tcg"

    async def start(self, hardware: Hardware) -> ConfinedProcess:
        """Start QEMU in its jail, links and disks handed over as open descriptors."""
        program = find_program()
        jail = Jail(
            program,
            folders=_FIRMWARE,
            files={}
            if hardware.state is not None
            else {hardware.kernel: _KERNEL, hardware.initramfs: _INITRAMFS},
            devices=(Path("/dev/kvm"),) if self.kvm else (),
        )
        ceiling = Ceiling(
            memory=hardware.memory + (_TRANSLATION + _OVERHEAD) * _MIB,
            cpus=hardware.cpus + 0.5,  # the half is for QEMU's own thread, which moves the data
            tasks=hardware.cpus + 48,
        )
        with ExitStack() as theirs:
            ram_fd = filter_fd = None
            if hardware.ram:
                ram_fd = os.open(hardware.ram.path, os.O_RDONLY | os.O_CLOEXEC)
                theirs.callback(os.close, ram_fd)
                if not hardware.ram.shared:
                    filter_fd = callfilter.open_program()
                    theirs.callback(os.close, filter_fd)
            ours, inherited = _link(theirs, copy=filter_fd is not None)
            return await ConfinedProcess.start(
                jail,
                command_line(hardware, inherited, kvm=self.kvm, ram_fd=ram_fd),
                machine=hardware.machine,
                ceiling=ceiling,
                links=ours,
                pass_fds=[
                    *inherited,
                    *(() if ram_fd is None else (ram_fd,)),
                    *(disk.fd for disk in hardware.disks),
                    *(() if hardware.state is None else (hardware.state,)),
                ],
                filter_fd=filter_fd,
            )


class Inherited(NamedTuple):
    """QEMU's ends of the links."""

    channel: int
    control: int
    monitor: int
    saved: int


def _link(theirs: ExitStack, *, copy: bool) -> tuple[Links, Inherited]:
    """Make the links; QEMU's ends are closed here by ``theirs``."""

    def pair() -> tuple[socket.socket, int]:
        ours, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return ours, theirs.enter_context(end).fileno()

    (channel, channel_fd), (control, control_fd), (monitor, monitor_fd) = pair(), pair(), pair()
    readable, writable = os.pipe()
    theirs.callback(os.close, writable)
    # QEMU opens it by name, as its jail's user. It would truncate an open file that it is handed,
    # which a pipe refuses.
    os.fchmod(writable, 0o666)
    # A copy may not open anything to truncate it, and is told that it has truncated this.
    name = "/dev/fdset/0" if copy else f"/proc/self/fd/{writable}"
    links = Links(channel, control, monitor, readable, name)
    return links, Inherited(channel_fd, control_fd, monitor_fd, writable)


def find_program() -> Path:
    """The QEMU to use: ``STOCKADE_QEMU_BIN``, or what PATH has."""
    chosen = os.environ.get("STOCKADE_QEMU_BIN") or shutil.which(PROGRAM)
    if not chosen or not os.access(chosen, os.X_OK):
        raise MissingToolError(
            f"{chosen or PROGRAM} is not installed", hint=f"Run: apt install {PACKAGE}"
        )
    return Path(chosen)


def command_line(
    hardware: Hardware, inherited: Inherited, *, kvm: bool, ram_fd: int | None = None
) -> list[str]:
    """QEMU's arguments. Nothing in them is secret, and nothing is named that has no need to be.

    ``ram_fd`` is the file of the hardware's RAM, inherited.
    """
    acceleration = "kvm" if kvm else f"tcg,thread=multi,tb-size={_TRANSLATION}"
    backed = ",memory-backend=ram" if hardware.ram else ""
    # With that it makes 24 of them, and an idle machine is 0.7 MiB larger.
    room = ",ioapic2=off" if len(hardware.disks) < _FEW else ""
    options = [
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", f"{_MACHINE}{room}{backed}", "-accel", acceleration),
        *("-cpu", "host" if kvm else "max"),
        *("-smp", str(hardware.cpus), "-m", f"{hardware.memory // _MIB}M"),
        *_memory(hardware, ram_fd),
        *_origin(hardware, kvm=kvm),
        # The kernel's last words when the agent cannot speak; a pipe that keeps only its end.
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *(
            "-chardev",
            f"socket,id=monitor,fd={inherited.monitor}",
            "-mon",
            "chardev=monitor,mode=control",
        ),
        *("-device", "virtio-serial-device,max_ports=3"),
        *("-chardev", f"socket,id=channel,fd={inherited.channel}"),
        *("-device", "virtserialport,chardev=channel,name=stockade"),
        *("-chardev", f"socket,id=control,fd={inherited.control}"),
        *("-device", "virtserialport,chardev=control,name=control"),
    ]
    if hardware.ram and not hardware.ram.shared:
        options += ["-add-fd", f"fd={inherited.saved},set=0"]
    for number, disk in enumerate(hardware.disks, start=1):
        options += [
            *("-add-fd", f"fd={disk.fd},set={number}"),
            *("-blockdev", _block(number)),
            *("-device", f"virtio-blk-device,drive=disk{number},serial={disk.serial}"),
        ]
    return options


def _memory(hardware: Hardware, ram_fd: int | None) -> list[str]:
    if hardware.ram is None:
        return []
    share = "on" if hardware.ram.shared else "off"
    # By the name of the open file, so that it is the one that was checked.
    path, size = f"/proc/self/fd/{ram_fd}", f"size={hardware.memory // _MIB}M"
    return ["-object", f"memory-backend-file,id=ram,{size},mem-path={path},share={share}"]


def _origin(hardware: Hardware, *, kvm: bool) -> list[str]:
    """Where the machine begins: in its kernel, or in the state that another one was in.

    The state is what ``xen-save-devices-state`` writes: a migration without RAM, and so without the
    section on the configuration that QEMU would look for.
    """
    if hardware.state is None:
        return ["-kernel", _KERNEL, "-initrd", _INITRAMFS, "-append", _kernel_line(kvm=kvm)]
    return [
        *("-global", "migration.send-configuration=off"),
        *("-incoming", "defer" if hardware.deferred else f"fd:{hardware.state}"),
    ]


def _kernel_line(*, kvm: bool) -> str:
    """The guest kernel's parameters; see ``admin-guide/kernel-parameters`` in its documentation.

    An emulated guest measures its clock against an emulated timer, which fails on a busy host and
    leaves the kernel hanging. Its clock is the host's, so it can be told instead.
    """
    if kvm:
        return _KERNEL_LINE
    line = f"{_KERNEL_LINE} {_EMULATED}"
    khz = _clock_khz()
    return f"{line} tsc_early_khz={khz}" if khz else line


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
