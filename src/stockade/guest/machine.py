"""Set the machine up: what process 1 must do before there is a workload.

The order is the machine's life: ``start_up`` needs nothing but the kernel, ``configure`` needs the
host's word on who this machine is and what it may use.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from typing import TYPE_CHECKING, Any

from stockade.guest import cgroups, linux, rootfs

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    # Last: no driver is loaded after this.
    "kernel/modules_disabled": "1",
}
_RNDADDENTROPY, _RNDRESEEDCRNG = 0x40085203, 0x5207  # random(4)
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # netdevice(7)


def start_up() -> int:
    """Mount what the agent itself needs; return the descriptor of the virtio port."""
    flags = linux.MS_NOSUID | linux.MS_NODEV
    linux.mount("tmpfs", "/run", "tmpfs", flags, "mode=0700,size=1m")
    for path in (rootfs.SCRATCH, rootfs.TERMINALS):
        os.mkdir(path)
    cgroups.mount()
    for name, value in _SYSCTLS.items():
        _write_if_there(f"/proc/sys/{name}", value)
    _write_if_there("/proc/self/oom_score_adj", "-1000")
    linux.drop_bounding_set()
    return os.open(_find_port("stockade"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def configure(request: Mapping[str, Any]) -> tuple[int, cgroups.Group]:
    """Make this machine the session's own; return the workload's namespace and its group.

    ``seed`` (hex) and ``time`` (seconds since the epoch) make random numbers and clock its own,
    also when the machine is a copy of another one.
    """
    _add_entropy(bytes.fromhex(request["seed"]))
    time.clock_settime(time.CLOCK_REALTIME, request["time"])
    _write_if_there("/proc/sys/kernel/hostname", request["hostname"])
    _raise_loopback()
    namespace = rootfs.assemble(
        scratch=request["scratch"],
        shared_memory=request["memory"] // 2,
        grants=request["grants"],
    )
    workload = cgroups.Group("workload")
    workload.delegate()
    # What is written to the scratch disk is memory too, and charged to whoever writes it.
    workload.limit(memory=request["memory"] + request["scratch"], processes=request["processes"])
    return namespace, workload


def _find_port(name: str) -> str:
    folder = "/sys/class/virtio-ports"
    for port in os.listdir(folder):
        with open(f"{folder}/{port}/name", encoding="utf-8") as file:
            if file.read().strip() == name:
                return f"/dev/{port}"
    raise OSError(0, "the machine has no such virtio port", name)


def _add_entropy(seed: bytes) -> None:
    with open("/dev/urandom", "wb", buffering=0) as pool:
        fcntl.ioctl(pool, _RNDADDENTROPY, struct.pack("ii", 8 * len(seed), len(seed)) + seed)
        fcntl.ioctl(pool, _RNDRESEEDCRNG)


def _raise_loopback() -> None:
    import socket  # noqa: PLC0415 - costs 20 ms of the boot under emulation, so it is not at the top

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _write_if_there(path: str, value: str) -> None:
    """Write a kernel setting; kernels without it have nothing to switch off."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except FileNotFoundError:
        pass
