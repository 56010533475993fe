"""Set the machine up: what process 1 must do before there is a workload.

The order is the machine's life: ``start_up`` needs nothing but the kernel, ``renew`` makes a copy
of a machine one of its own, ``prepare`` does what is the same for every session, and ``configure``
needs the host's word on what this one may use.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from stockade.guest import cgroups, linux, rootfs
from stockade.wire.adoption import SEED_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.guest.disks import Disks
    from stockade.wire.adoption import Adoption

_SYSCTLS = {
    # The workload is one unprivileged user; none of these is of use to it but as a way out.
    "kernel/dmesg_restrict": "1",
    "kernel/kptr_restrict": "2",
    "kernel/perf_event_paranoid": "3",
    "kernel/unprivileged_bpf_disabled": "1",
    "kernel/kexec_load_disabled": "1",
    "kernel/sysrq": "0",
    "user/max_user_namespaces": "0",
    "vm/unprivileged_userfaultfd": "0",
    # Memory is bounded where it is used, and the limit says so; a refused malloc would not.
    "vm/overcommit_memory": "1",
    # What the kernel does in the background wakes an idle machine, and costs a copy of it
    # milliseconds before its first word: to fold counters (seconds), to compact memory (never).
    "vm/stat_interval": "600",
    "vm/compaction_proactiveness": "0",
    # Last: no driver is loaded after this.
    "kernel/modules_disabled": "1",
}
_RNDADDENTROPY, _RNDRESEEDCRNG = 0x40085203, 0x5207  # random(4)
# How many bits are new, and in how many bytes.
_SEEDED = struct.pack("ii", 8 * SEED_SIZE, SEED_SIZE)


class Ports(NamedTuple):
    """Descriptors: the virtio ports for wire frames and for adoptions, and the random pool."""

    channel: int
    control: int
    random: int


def start_up() -> Ports:
    """Mount what the agent itself needs; open the ports to the host."""
    flags = linux.MS_NOSUID | linux.MS_NODEV
    linux.mount("tmpfs", "/run", "tmpfs", flags, "mode=0700,size=1m")
    cgroups.mount()
    for name, value in _SYSCTLS.items():
        _write_if_there(f"/proc/sys/{name}", value)
    _write_if_there("/proc/self/oom_score_adj", "-1000")
    linux.drop_bounding_set()
    random = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
    return Ports(_open_port("stockade"), _open_port("control"), random)


def renew(random: int, adoption: Adoption) -> None:
    """Give the machine random numbers and a clock of its own: it may be a copy of another."""
    fcntl.ioctl(random, _RNDADDENTROPY, _SEEDED + adoption.seed)
    fcntl.ioctl(random, _RNDRESEEDCRNG)
    time.clock_settime(time.CLOCK_REALTIME, adoption.time)


def prepare(disks: Disks) -> int:
    """Do all that needs no word on the session; return the workload's mount namespace."""
    return rootfs.assemble(disks)


class Bounds(NamedTuple):
    """What the workload may use: bytes of memory and of scratch files, processes."""

    memory: int
    scratch: int
    processes: int


def new_workload(bounds: Bounds) -> cgroups.Group:
    """Make the workload's group, which must not exist, with all its counters at zero."""
    workload = cgroups.Group("workload")
    workload.delegate()
    # What is written to the scratch disk is memory too, and charged to whoever writes it.
    workload.limit(
        memory=bounds.memory + bounds.scratch,
        processes=bounds.processes,
    )
    rootfs.resize(scratch=bounds.scratch, shared_memory=bounds.memory // 2)
    return workload


def configure(request: Mapping[str, Any], namespace: int, disks: Disks) -> None:
    """Make this machine the session's own: its name, and the files that it was granted."""
    _write_if_there("/proc/sys/kernel/hostname", request["hostname"])
    rootfs.name_machine(request["machine_id"])
    if request["grants"]:
        rootfs.attach_grants(namespace, disks, request["grants"])


def _open_port(name: str) -> int:
    return os.open(_find_port(name), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _find_port(name: str) -> str:
    folder = "/sys/class/virtio-ports"
    for port in os.listdir(folder):
        with open(f"{folder}/{port}/name", encoding="utf-8") as file:
            if file.read().strip() == name:
                return f"/dev/{port}"
    raise OSError(0, "the machine has no such virtio port", name)


def _write_if_there(path: str, value: str) -> None:
    """Write a kernel setting; kernels without it have nothing to switch off."""
    with contextlib.suppress(FileNotFoundError):
        linux.write_file(path, value)
