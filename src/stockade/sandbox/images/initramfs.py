"""Write the initramfs: busybox, the boot modules and the guest's ``/init``, uncompressed.

Decompressing in an emulated guest would take longer than copying.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from stockade.sandbox.images.programs import check, clean_env

if TYPE_CHECKING:
    from collections.abc import Sequence

# The agent's own part of the boot, written with the agent.
INIT = Path(__file__).parents[2] / "guest" / "initramfs" / "init.sh"
_DIRECTORIES = ("bin", "modules", "dev", "proc", "sys", "run", "tmp", "mnt")
_EPOCH = 0


async def write_initramfs(
    target: Path, scratch: Path, *, busybox: Path, modules: Sequence[Path], init: Path | None
) -> None:
    """Write the cpio archive to ``target``; the same inputs give the same bytes."""
    tree = scratch / "initramfs"
    names = await to_thread.run_sync(_arrange, tree, busybox, modules, init)
    listing = scratch / "initramfs.names"
    listing.write_text("\n".join(names) + "\n")
    script = (
        'cd "$1" && exec cpio --create --format=newc --reproducible --owner=0:0 --quiet <"$2" >"$3"'
    )
    await check(["/bin/cpio", "--version"], package="cpio", doing="run cpio")
    await check(
        ["sh", "-c", script, "sh", tree, listing, target],
        package="dash",
        doing="write the initramfs",
        env=clean_env(),
    )


def _arrange(tree: Path, busybox: Path, modules: Sequence[Path], init: Path | None) -> list[str]:
    """Lay the files out and return their names in the archive's order."""
    for name in _DIRECTORIES:
        (tree / name).mkdir(parents=True)
        (tree / name).chmod(0o755)
    _copy(busybox, tree / "bin" / "busybox", 0o755)
    for module in modules:
        _copy(module, tree / "modules" / module.name, 0o644)
    order = tree / "modules" / "order"
    order.write_text("".join(f"{module.name}\n" for module in modules))
    order.chmod(0o644)
    if init is not None:
        _copy(init, tree / "init", 0o755)
    paths = [tree, *sorted(tree.rglob("*"))]
    for path in paths:
        os.utime(path, (_EPOCH, _EPOCH))
    return [str(path.relative_to(tree)) for path in paths]


def _copy(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)
