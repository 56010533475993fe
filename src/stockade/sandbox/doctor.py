"""What this host has and lacks for each wall: all checks, and what follows from them.

What machines run by is checked in ``checks``; here is what they are built from and kept in.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import StockadeError
from stockade.model.quantities import format_size
from stockade.sandbox import checks
from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.checks import Finding, Status, check_program, failed
from stockade.sandbox.images import kit, mmdebstrap
from stockade.sandbox.images.locks import load_lock
from stockade.sandbox.images.store import ImageStore
from stockade.sandbox.paths import cache_dir, runtime_dir

if TYPE_CHECKING:
    from stockade.sandbox.images.progress import Progress

__all__ = ["Finding", "Status", "WallFinding", "examine", "walls"]

_IMAGE = "debian-python"
_BUILD = f"stockade image build {_IMAGE}"
_DISK = 1 << 30  # bytes that building the runtime and the default image takes at most
_MEMORY = 1 << 30  # bytes that the host should have free for one machine of the default size


@dataclass(frozen=True)
class WallFinding:
    """Whether sessions can run behind ``wall`` here, and how or why not."""

    wall: str
    backend: str
    usable: bool
    detail: str


async def examine(progress: Progress | None = None) -> list[Finding]:
    """Run every check: half a second, and the time that KVM's proof takes (see ``kvm``)."""
    runtime, image = _runtime(), _image()
    built = runtime.status is image.status is Status.OK
    # What only builds is needed only while there is something to build.
    builder = Status.WARN if built else Status.FAIL
    identity = checks.check_setpriv() if os.geteuid() == 0 else await checks.check_user_namespaces()
    return [
        checks.check_python(),
        checks.check_processor(),
        await checks.check_qemu(),
        await checks.check_jail(),
        identity,
        await checks.check_kvm(progress, runtime_built=runtime.status is Status.OK, build=_BUILD),
        checks.check_cgroups(),
        check_program("mkfs.erofs", "erofs-utils", Status.FAIL, "packs files for machines"),
        *_debian(builder),
        check_program("cpio", "cpio", builder, "packs the initramfs"),
        check_program("skopeo", "skopeo", Status.WARN, "fetches oci: images"),
        check_program("umoci", "umoci", Status.WARN, "unpacks oci: images"),
        _cache(built=built),
        _runtime_dir(),
        runtime,
        image,
        _capacity(),
    ]


def walls(findings: list[Finding]) -> list[WallFinding]:
    """Tell from what ``examine`` found which walls can be used, the strongest first."""
    lacking = [found.name for found in findings if found.status is Status.FAIL]
    kvm = any(found.name == "kvm" and found.status is Status.OK for found in findings)
    how = "hardware virtualization (KVM)" if kvm else "emulation (TCG): 8 to 20 times slower"
    return [
        WallFinding(
            "microvm",
            QemuMicrovm().name,
            not lacking,
            f"lacks {', '.join(lacking)}" if lacking else how,
        ),
        WallFinding("gvisor", "", usable=False, detail="not in this version"),
        WallFinding("container", "", usable=False, detail="not in this version"),
    ]


def _debian(missing: Status) -> list[Finding]:
    """What Debian images are built with; an ordinary user needs ids to give away as well."""
    found = check_program("mmdebstrap", "mmdebstrap", missing, "builds Debian images")
    if os.geteuid() == 0 or found.status is not Status.OK:
        return [found]
    name = "subordinate ids"
    try:
        mmdebstrap.check_host()
    except StockadeError as error:
        return [found, failed(name, error, missing)]
    return [found, Finding(name, Status.OK, "there are some for this user")]


def _runtime() -> Finding:
    """Look for the part of the runtime that needs a network; the rest is a matter of seconds."""
    name = "runtime"
    try:
        built = kit.facts(cache_dir() / "kits" / kit.kit_key(load_lock(kit.LOCK)))
    except StockadeError as error:
        return failed(name, error, Status.WARN)
    if built is None:
        return Finding(name, Status.WARN, "not built yet; the first run does it", _BUILD)
    kernel = next((name for name in built.packages if name.startswith("linux-image-6")), "a kernel")
    return Finding(name, Status.OK, f"{kernel} {built.packages.get(kernel, '')}".strip())


def _image() -> Finding:
    name = f"image {_IMAGE}"
    try:
        image = ImageStore(cache_dir()).find(_IMAGE)
    except StockadeError as error:
        return failed(name, error, Status.WARN)
    if image is None:
        return Finding(name, Status.WARN, "not built yet; the first run does it", _BUILD)
    size = format_size(image.manifest.size, exact=False)
    return Finding(name, Status.OK, f"{image.manifest.digest[:12]}, {size}")


def _cache(*, built: bool) -> Finding:
    name = "cache"
    try:
        path = cache_dir()
    except StockadeError as error:
        return failed(name, error)
    # It may not be there yet; then its place has to be writable.
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        fix = "export STOCKADE_CACHE_DIR=FOLDER"
        return Finding(name, Status.FAIL, f"{path} cannot be written", fix)
    free = shutil.disk_usage(place).free
    detail = f"{path}, {format_size(free, exact=False)} free"
    if free >= _DISK:
        return Finding(name, Status.OK, detail)
    return Finding(name, Status.WARN if built else Status.FAIL, f"{detail}: building takes 1GiB")


def _runtime_dir() -> Finding:
    name = "runtime folder"
    try:
        return Finding(name, Status.OK, str(runtime_dir()))
    except StockadeError as error:
        return failed(name, error)


def _capacity() -> Finding:
    cores = len(os.sched_getaffinity(0))
    meminfo = Path("/proc/meminfo").read_text("ascii")
    fields = {key: value.split() for key, _, value in map(_colon, meminfo.splitlines())}
    free = int(fields["MemAvailable"][0]) * 1024
    detail = f"{cores} processors, {format_size(free, exact=False)} of memory available"
    if free < _MEMORY:
        return Finding("capacity", Status.WARN, f"{detail}: little for a machine")
    return Finding("capacity", Status.OK, detail)


def _colon(line: str) -> tuple[str, str, str]:
    return line.partition(":")
