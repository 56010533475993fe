"""The kit: the part of the runtime that comes from Debian packages and changes only with them.

vmlinuz      the kernel
modules/     the modules that boot a machine; ``order`` lists them in load order
busybox      statically linked
tree/        a root directory with the agent's interpreter, compiled
kit.json     the versions of all packages involved, and the drift from the lock
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread
from pydantic import ValidationError

from stockade.model.errors import ImageError
from stockade.sandbox.images import interpreter, modules
from stockade.sandbox.images.locks import Lock, load_lock, parse_lock
from stockade.sandbox.images.manifest import ImageFacts
from stockade.sandbox.images.mmdebstrap import Recipe, bootstrap
from stockade.sandbox.images.programs import check
from stockade.sandbox.images.progress import Part, Progress
from stockade.sandbox.images.sources.debian import warn_of_drift

if TYPE_CHECKING:
    from stockade.sandbox.images.cache import Cache

LOCK = "runtime"
PACKAGES = ("linux-image-cloud-amd64", "python3-minimal", "libpython3.11-stdlib", "busybox-static")


def kit_key(lock: Lock) -> str:
    """Return the fingerprint of what a kit is made of: the lock, and the code that makes it."""
    parts = [lock.text().encode(), *(name.encode() for name in PACKAGES)]
    here = Path(__file__)
    makers = (here, here.with_name("interpreter.py"), here.with_name("modules.py"))
    parts += [*(maker.read_bytes() for maker in makers), _hook().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


async def get_kit(cache: Cache, progress: Progress, lock: Lock | None = None) -> Path:
    """Return the directory of the kit; build it if it is not there."""
    lock = load_lock(LOCK) if lock is None else lock
    key = kit_key(lock)
    kit = cache.root / "kits" / key
    if facts(kit) is None:
        async with cache.lock(f"kit-{key}"):
            if facts(kit) is None:
                async with cache.scratch() as scratch:
                    await _build(scratch, lock, progress)
                    await to_thread.run_sync(cache.publish, scratch / "kit", kit)
    return kit


def facts(kit: Path) -> ImageFacts | None:
    """Return what a kit was made of; None if it is absent or damaged."""
    try:
        return ImageFacts.model_validate_json((kit / "kit.json").read_bytes())
    except (OSError, ValidationError):
        return None


async def _build(scratch: Path, lock: Lock, progress: Progress) -> None:
    kit, unpacked = scratch / "kit", scratch / "unpacked"
    kit.mkdir()
    unpacked.mkdir()
    recipe = Recipe(
        variant="extract", packages=PACKAGES, hook_stage="extract", hook=_hook(), lock=lock
    )
    with (
        tempfile.NamedTemporaryFile(dir=scratch) as files,
        tempfile.TemporaryFile(dir=scratch) as packages,
    ):
        await bootstrap(recipe, {"FILES": files, "PACKAGES": packages}, Part(progress, 0.0, 0.8))
        packages.seek(0)
        built = parse_lock(packages.read().decode("ascii"), name="unpacked packages").versions
        await check(
            ["tar", "--extract", "--no-same-owner", "--file", files.name, "--directory", unpacked],
            package="tar",
            doing="unpack the runtime",
        )
    progress.stage("preparing the agent's interpreter", 0.85)
    await to_thread.run_sync(_take_kernel, unpacked, kit)
    await interpreter.trim(unpacked, kit / "tree")
    drift = lock.drift(built)
    warn_of_drift(drift, "runtime", progress)
    (kit / "kit.json").write_text(ImageFacts(packages=built, drift=drift).model_dump_json(indent=2))


def _take_kernel(unpacked: Path, kit: Path) -> None:
    kernels = sorted((unpacked / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise ImageError(f"expected one kernel in the packages, found {len(kernels)}")
    shutil.copyfile(kernels[0], kit / "vmlinuz")
    shutil.copyfile(unpacked / "bin" / "busybox", kit / "busybox")
    (kit / "modules").mkdir()
    order = modules.load_order(unpacked / "lib" / "modules")
    for module in order:
        shutil.copyfile(module, kit / "modules" / module.name)
    (kit / "modules" / "order").write_text("".join(f"{module.name}\n" for module in order))


def _hook() -> str:
    return resources.files(__package__).joinpath("kit.sh").read_text("utf-8")
