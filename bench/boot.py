"""How long a machine takes that boots, up to its first reply, and which part takes what.

A template is made from such a boot; what most runs do, ``clones.py`` measures.

Two kinds of boots take turns. The plain one is a cold ``Sandbox``. The marked one is
the same hypervisor, command line and kernel, with an initramfs whose ``/init`` says on the console
where it is; when each word arrives is noted on the host. ``marks_cost`` tells how far the marks
themselves can be trusted.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.sandbox.backends.base import Disk, Hardware
from stockade.sandbox.backends.qemu_microvm import (
    Inherited,
    QemuMicrovm,
    command_line,
    find_program,
)
from stockade.sandbox.images.initramfs import INIT
from stockade.sandbox.images.prepare import prepare, prepare_runtime
from stockade.sandbox.jail import Jail
from stockade.sandbox.sandbox import Sandbox
from stockade.wire.adoption import NONCE_SIZE, SEED_SIZE, Adoption

if TYPE_CHECKING:
    from bench._measure import options, ratio, report, summaries

    from stockade.sandbox.images.runtime import Runtime
    from stockade.sandbox.images.store import Image
else:
    from _measure import options, ratio, report, summaries

_MIB = 1 << 20
_FIRST = "mark-init"
_MOUNTED = "mark-mounted"
_LAST = "mark-agent"


def main() -> None:
    arguments = options(__doc__.splitlines()[0], runs=5).parse_args()
    image, runtime = anyio.run(_prepare)
    plain: dict[str, list[float]] = {}
    marked: dict[str, list[float]] = {}
    with tempfile.NamedTemporaryFile() as file:
        file.write(runtime.initramfs.read_bytes() + _archive("init", _marked_init()))
        file.flush()
        Path(file.name).chmod(0o644)
        for _ in range(arguments.runs):
            _collect(plain, anyio.run(_plain_boot))
            _collect(marked, _marked_boot(image, runtime, Path(file.name)))
    report(
        "boot",
        "ms",
        {
            "plain": summaries(plain),
            "marked": summaries(marked),
            "marks_cost": ratio(marked["to_agent"], plain["to_agent"]),
        },
    )


async def _prepare() -> tuple[Image, Runtime]:
    return await prepare("debian-python"), await prepare_runtime()


def _collect(into: dict[str, list[float]], times: dict[str, float]) -> None:
    for name, seconds in times.items():
        into.setdefault(name, []).append(seconds * 1e3)


async def _plain_boot() -> dict[str, float]:
    begun = time.perf_counter()
    async with Sandbox(backend=QemuMicrovm(), cold=True) as box:
        ready = time.perf_counter() - begun
        await box.ping()
        replied = time.perf_counter() - begun
        to_agent = box.timings["launch"] + box.timings["boot"]
        return {**box.timings, "to_agent": to_agent, "ready": ready, "first_reply": replied}


def _marked_boot(image: Image, runtime: Runtime, initramfs: Path) -> dict[str, float]:
    """Start QEMU in its jail and note when it says what."""
    links = [socket.socketpair() for _ in ("channel", "control", "monitor", "saved")]
    (channel, _), (control, _), *_ = links
    inherited = Inherited(*(theirs.fileno() for _, theirs in links))
    control.sendall(Adoption(bytes(NONCE_SIZE), secrets.token_bytes(SEED_SIZE), time.time()).pack())
    info_read, info_write = os.pipe()
    disks = [
        Disk(serial, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        for serial, path in (("runtime", runtime.disk), ("image", image.path))
    ]
    hardware = Hardware(
        machine="bench",
        cpus=1,
        memory=1152 * _MIB,  # as the default profile has it
        kernel=runtime.kernel,
        initramfs=initramfs,
        disks=tuple(disks),
    )
    jail = Jail(
        find_program(),
        folders=(Path("/usr/share/qemu"), Path("/usr/share/seabios")),
        files={hardware.kernel: "/machine/kernel", hardware.initramfs: "/machine/initramfs"},
    )
    arguments = command_line(hardware, inherited, kvm=False)
    moments = {"start": time.perf_counter()}
    with subprocess.Popen(
        jail.command(arguments, entrances=[], info_fd=info_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[info_write, *inherited, *(disk.fd for disk in disks)],
        env={},
    ) as process:
        try:
            for fd in (info_write, *(disk.fd for disk in disks)):
                os.close(fd)
            for _, theirs in links:
                theirs.close()
            while b"}" not in os.read(info_read, 4096):
                pass
            moments["jail"] = time.perf_counter()
            uptime = _follow(process, moments)
            channel.recv(1)
            moments["hello"] = time.perf_counter()
        finally:
            process.kill()  # the jail dies with it
            for ours, _ in links:
                ours.close()
            os.close(info_read)
    clock = moments[_MOUNTED] - uptime
    return {
        "jail": moments["jail"] - moments["start"],
        # QEMU's start, the kernel's decompression and its first steps: the guest has no clock yet.
        "qemu_and_kernel_entry": clock - moments["jail"],
        "kernel": moments[_FIRST] - clock,
        "initramfs": moments[_LAST] - moments[_FIRST],
        "agent": moments["hello"] - moments[_LAST],
        "to_agent": moments["hello"] - moments["start"],
    }


def _follow(process: subprocess.Popen[bytes], moments: dict[str, float]) -> float:
    """Note when the console says each mark; return the guest's own clock at the second."""
    uptime, line = 0.0, b""
    assert process.stdout is not None
    for line in process.stdout:
        for mark in (_FIRST, _MOUNTED, _LAST):
            if line.startswith(mark.encode()):
                moments[mark] = time.perf_counter()
        if line.startswith(_MOUNTED.encode()):
            uptime = float(line.split()[1])
        if line.startswith(_LAST.encode()):
            return uptime
    raise SystemExit(f"the machine ended: {line.decode(errors='replace').strip()}")


def _marked_init() -> bytes:
    """The machine's own ``/init`` with three words added."""
    script = INIT.read_text("utf-8")
    replacements = {
        "b=/bin/busybox\n": f"b=/bin/busybox\necho {_FIRST}\n",
        "\nwhile read": f'\nread -r up rest </proc/uptime; echo "{_MOUNTED} $up"\nwhile read',
        "        exec ": f"        echo {_LAST} >/mnt/dev/console\n        exec ",
    }
    for old, new in replacements.items():
        assert script.count(old) == 1, f"/init has changed: {old!r}"
        script = script.replace(old, new)
    return script.encode()


def _archive(name: str, content: bytes) -> bytes:
    """A cpio archive of one program (``initramfs-buffer-format`` in the kernel's documentation).

    The kernel unpacks archives one after the other, so this replaces a file of an earlier one.
    """

    def entry(name: str, mode: int, content: bytes) -> bytes:
        fields = (1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        return _padded(head) + _padded(content)

    return entry(name, 0o100755, content) + entry("TRAILER!!!", 0, b"")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


if __name__ == "__main__":
    main()
