"""Make a kit: the kernel and the agent's interpreter, from Debian packages. See ``kit``."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

from anyio import to_thread

from stockade.model.errors import ImageError
from stockade.sandbox.images import interpreter, modules
from stockade.sandbox.images.kit import HOOK, PACKAGES
from stockade.sandbox.images.locks import Lock, parse_lock
from stockade.sandbox.images.manifest import ImageFacts
from stockade.sandbox.images.mmdebstrap import Recipe, bootstrap
from stockade.sandbox.images.programs import check
from stockade.sandbox.images.progress import Part, Progress
from stockade.sandbox.images.sources.debian import warn_of_drift

if TYPE_CHECKING:
    from pathlib import Path


async def build_kit(scratch: Path, lock: Lock, progress: Progress) -> None:
    """Build a kit as ``scratch / "kit"``, of the locked versions as far as the mirror has them."""
    kit, unpacked = scratch / "kit", scratch / "unpacked"
    kit.mkdir()
    unpacked.mkdir()
    recipe = Recipe(
        variant="extract",
        packages=PACKAGES,
        hook_stage="extract",
        hook=HOOK.read_text("utf-8"),
        lock=lock,
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
