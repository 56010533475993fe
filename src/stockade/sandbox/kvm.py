"""Whether KVM can be used here: proved by a machine that boots under it, and remembered.

That ``/dev/kvm`` opens proves little: inside another virtual machine it may run a guest by
emulating each instruction, slower than QEMU would, or lack what QEMU asks of it. So a machine is
booted as any other, with a deadline. A proof costs a fraction of a second where KVM is real and at
most the deadline where it is not; then the answer holds until something it may depend on changes.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import hashlib
import inspect
import json
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.model.errors import MachineError, MissingToolError
from stockade.sandbox import jail, registry
from stockade.sandbox.backends import qemu_microvm
from stockade.sandbox.backends.base import Backend, Disk, Hardware
from stockade.sandbox.converse import first_cause
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.prepare import prepare_runtime
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.machine import Machine
from stockade.sandbox.paths import cache_dir

if TYPE_CHECKING:
    from stockade.sandbox.images.runtime import Runtime

DEVICE = Path("/dev/kvm")
_DEADLINE = 5.0  # seconds; QEMU's own emulation is ready sooner, so a slower KVM is of no use
_MEMORY = 256 << 20
# A refusal may have been a busy moment; nobody should be left without KVM for longer.
_REFUSAL_HOLDS = 24 * 3600.0  # seconds
_GET_API_VERSION, _API_VERSION = 0xAE00, 12  # linux/kvm.h


@dataclass(frozen=True)
class KvmVerdict:
    """Whether KVM is usable and, in one line, why; ``seconds`` is how long the proof took."""

    usable: bool
    reason: str
    seconds: float | None = None


async def kvm_verdict(
    progress: Progress | None = None, *, again: bool = False, runtime: Runtime | None = None
) -> KvmVerdict:
    """Tell whether to use KVM; prove it if that was not done yet, or if ``again`` is true.

    It is proved by booting ``runtime``, which is found or built unless it is given.

    Raises ``ImageError`` if the runtime cannot be built or the cache cannot be written.
    """
    if reason := refusal():
        return KvmVerdict(usable=False, reason=reason)
    try:
        program = qemu_microvm.find_program()
    except MissingToolError as error:
        return KvmVerdict(usable=False, reason=str(error))
    progress = progress or Silent()
    runtime = runtime or await prepare_runtime(progress)
    key = _fingerprint(program, runtime)
    if not again and (known := _recall(key)):
        return known
    # One at a time: proofs that slow one another down prove nothing.
    async with Cache(cache_dir()).lock("kvm"):
        if not again and (known := _recall(key)):
            return known
        progress.stage("finding out whether KVM can be used", None)
        verdict = await prove(qemu_microvm.QemuMicrovm(kvm=True), runtime)
        _remember(key, verdict)
        return verdict


def refusal(device: Path = DEVICE) -> str:
    """Say why KVM cannot be used, as far as that shows at once; "" if it does not."""
    if not device.exists():
        return f"there is no {device}"
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        return f"{device} may be opened by {_who(device)} only"
    except OSError as error:
        return f"{device} cannot be opened: {error.strerror}"
    try:
        version = fcntl.ioctl(fd, _GET_API_VERSION)
    except OSError as error:
        return f"{device} is not KVM: {error.strerror}"
    finally:
        os.close(fd)
    if version != _API_VERSION:
        return f"{device} has version {version} of its interface, not {_API_VERSION}"
    return ""


async def prove(backend: Backend, runtime: Runtime, *, within: float = _DEADLINE) -> KvmVerdict:
    """Boot a machine on ``backend`` until its agent speaks, for at most ``within`` seconds."""
    begun = time.perf_counter()
    disk = os.open(runtime.disk, os.O_RDONLY | os.O_CLOEXEC)
    hardware = Hardware(
        machine=registry.new_id(),
        cpus=1,
        memory=_MEMORY,
        kernel=runtime.kernel,
        initramfs=runtime.initramfs,
        disks=(Disk("runtime", disk),),
    )
    reason = f"a machine was not ready within {within:g} s"
    ready = False
    try:
        with anyio.move_on_after(within):
            async with anyio.create_task_group() as tasks:
                try:
                    machine = await Machine.start(backend, hardware, tasks)
                except MachineError as error:
                    reason = f"a machine did not start: {error}"
                else:
                    ready = True
                    await machine.close()
    except BaseExceptionGroup as group:
        raise first_cause(group) from None
    finally:
        os.close(disk)
    seconds = time.perf_counter() - begun
    if ready:
        reason = f"a machine was ready in {seconds:.2f} s"
    return KvmVerdict(ready, reason, seconds)


def _who(device: Path) -> str:
    found = device.stat()
    if not found.st_gid or found.st_mode & 0o060 != 0o060:
        return "root"
    try:
        return f"the group {grp.getgrgid(found.st_gid).gr_name}"
    except KeyError:
        return f"the group {found.st_gid}"


def _fingerprint(program: Path, runtime: Runtime) -> str:
    """Hash what an answer may depend on. A restart of the host alone is no reason to ask again."""
    device, binary = DEVICE.stat(), program.stat()
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    cpu = re.findall(r"^(?:model name|flags)\s*:.*$", cpuinfo.partition("\n\n")[0], re.MULTILINE)
    facts = [
        os.uname().release,
        *cpu,
        sorted(path.name for path in Path("/sys/module").glob("kvm*")),
        [device.st_mode, device.st_uid, device.st_gid],
        [os.geteuid(), sorted(os.getgroups())],
        [str(program), binary.st_size, binary.st_mtime_ns],
        runtime.kernel.parent.name,
        # How the machine is put together.
        *(inspect.getsource(module) for module in (qemu_microvm, jail)),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _memory() -> Path:
    return cache_dir() / "kvm.json"


def _recall(key: str) -> KvmVerdict | None:
    try:
        known = json.loads(_memory().read_bytes())
        if known.pop("key") != key:
            return None
        age = time.time() - known.pop("checked")
        verdict = KvmVerdict(**known)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # never asked, or damaged: ask again
    return verdict if verdict.usable is True or 0 <= age < _REFUSAL_HOLDS else None


def _remember(key: str, verdict: KvmVerdict) -> None:
    part = _memory().with_suffix(f".{os.getpid()}")
    # What cannot be written is only asked again.
    with contextlib.suppress(OSError):
        part.write_text(json.dumps({"key": key, "checked": time.time(), **asdict(verdict)}))
        part.replace(_memory())
