"""The runtime: what every machine boots from, whatever its image.

A kernel, an initramfs, and the *agent disk*: an erofs image with an interpreter of its own and
Stockade's ``wire`` and ``guest`` packages under ``/opt/stockade``. The packaged part (see ``kit``)
takes seconds to build and rarely changes; the rest is made anew whenever the agent's code changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from stockade.sandbox.images import initramfs
from stockade.sandbox.images.cache import Cache, disk_errors, remove_tree
from stockade.sandbox.images.erofs import pack
from stockade.sandbox.images.interpreter import compile_all
from stockade.sandbox.images.kit import get_kit
from stockade.sandbox.images.progress import Part, Progress

_STOCKADE = Path(__file__).parents[2]
_AGENT_PACKAGES = ("wire", "guest")
_AGENT_HOME = "opt/stockade"
# Runtimes of former versions of the agent that are kept, for others that still use them.
_KEPT = 4


@dataclass(frozen=True)
class Runtime:
    """The files that a machine boots from; equal keys mean equal files."""

    kernel: Path
    initramfs: Path
    disk: Path
    key: str


async def get_runtime(cache: Cache, progress: Progress) -> Runtime:
    """Return the runtime; build what of it is not there."""
    kit = await get_kit(cache, Part(progress, 0.0, 0.9))
    sources = await to_thread.run_sync(agent_sources)
    key = runtime_key(kit, sources)
    final = cache.root / "runtimes" / key
    if not _complete(final):
        async with cache.lock(f"runtime-{key}"):
            if not _complete(final):
                progress.stage("packing the agent", 0.9)
                async with cache.scratch() as scratch:
                    await _build(scratch, kit, sources)
                    await to_thread.run_sync(cache.publish, scratch / "runtime", final)
                await to_thread.run_sync(_prune, final)
                progress.stage("the runtime is ready", 1.0)
    with disk_errors(final):
        os.utime(final)
    return Runtime(kit / "vmlinuz", final / "initramfs.cpio", final / "agent.erofs", key)


def agent_sources() -> dict[str, bytes]:
    """Return all that goes into the agent, by its path under the ``stockade`` package."""
    found = {}
    for package in _AGENT_PACKAGES:
        for path in sorted((_STOCKADE / package).rglob("*")):
            if path.is_file() and path.suffix in {".py", ".sh"}:
                found[str(path.relative_to(_STOCKADE))] = path.read_bytes()
    return found


def runtime_key(kit: Path, sources: dict[str, bytes]) -> str:
    """Return the fingerprint of a runtime."""
    digest = hashlib.sha256(kit.name.encode())
    for module in (__file__, initramfs.__file__):
        digest.update(hashlib.sha256(Path(module).read_bytes()).digest())
    for name, content in sorted(sources.items()):
        digest.update(f"\0{name}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


async def _build(scratch: Path, kit: Path, sources: dict[str, bytes]) -> None:
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


def _complete(directory: Path) -> bool:
    # Published by a rename, so either all of it is there or the user removed some.
    return all((directory / name).is_file() for name in ("initramfs.cpio", "agent.erofs"))


def _prune(newest: Path) -> None:
    # Another process may remove the same ones; what stays now, the next build removes.
    with contextlib.suppress(FileNotFoundError):
        others = [path for path in newest.parent.iterdir() if path != newest]
        for path in sorted(others, key=lambda path: path.lstat().st_mtime)[: -(_KEPT - 1)]:
            remove_tree(path)
