"""Make a runtime of a kit and the agent's code: initramfs and agent disk. See ``runtime``."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from anyio import to_thread

from stockade.sandbox.images import initramfs
from stockade.sandbox.images.erofs import pack
from stockade.sandbox.images.interpreter import compile_all

if TYPE_CHECKING:
    from pathlib import Path

_AGENT_HOME = "opt/stockade"


async def build_runtime(scratch: Path, kit: Path, sources: dict[str, bytes]) -> None:
    """Build a runtime's initramfs and agent disk in ``scratch / "runtime"``."""
    made, tree = scratch / "runtime", scratch / "tree"
    made.mkdir()
    await to_thread.run_sync(_assemble, kit / "tree", tree, sources)
    await compile_all(tree, _AGENT_HOME)
    await to_thread.run_sync(_settle, tree)
    await pack(tree, made / "agent.erofs", owner=(0, 0))
    names = (kit / "modules" / "order").read_text().split()
    await initramfs.write_initramfs(
        made / "initramfs.cpio",
        scratch,
        busybox=kit / "busybox",
        modules=[kit / "modules" / name for name in names],
        init=initramfs.INIT if initramfs.INIT.exists() else None,
    )
    made.chmod(0o755)


def _assemble(kit_tree: Path, tree: Path, sources: dict[str, bytes]) -> None:
    """Join the kit and the agent's code; the kit's files are linked, not copied."""
    shutil.copytree(kit_tree, tree, symlinks=True, copy_function=os.link)
    package = tree / _AGENT_HOME / "stockade"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, content in sources.items():
        if name.endswith(".py"):
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_bytes(content)


def _settle(tree: Path) -> None:
    """Give what was made just now fixed times and modes, for the same bytes every time."""
    for path in [tree, *tree.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
            os.utime(path, (0, 0))
        elif path.is_relative_to(tree / "opt"):
            path.chmod(0o644)
            os.utime(path, (0, 0))
