"""The runtime: what every machine boots from, whatever its image.

A kernel, an initramfs, and the *agent disk*: an erofs image with an interpreter of its own and
Stockade's ``wire`` and ``guest`` packages under ``/opt/stockade``. The packaged part (see ``kit``)
takes seconds to build and rarely changes; the rest is made anew whenever the agent's code changes.
Every run looks for it here; ``build_runtime`` makes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from stockade.sandbox.images.cache import Cache, disk_errors, remove_tree
from stockade.sandbox.images.kit import get_kit
from stockade.sandbox.images.progress import Part, Progress

_STOCKADE = Path(__file__).parents[2]
_AGENT_PACKAGES = ("wire", "guest")
_MAKERS = tuple(Path(__file__).with_name(name) for name in ("build_runtime.py", "initramfs.py"))
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
        from stockade.sandbox.images.build_runtime import (  # noqa: PLC0415 - few runs build
            build_runtime,
        )

        async with cache.lock(f"runtime-{key}"):
            if not _complete(final):
                progress.stage("packing the agent", 0.9)
                async with cache.scratch() as scratch:
                    await build_runtime(scratch, kit, sources)
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
    for maker in _MAKERS:
        digest.update(hashlib.sha256(maker.read_bytes()).digest())
    for name, content in sorted(sources.items()):
        digest.update(f"\0{name}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _complete(directory: Path) -> bool:
    # Published by a rename, so either all of it is there or the user removed some.
    return all((directory / name).is_file() for name in ("initramfs.cpio", "agent.erofs"))


def _prune(newest: Path) -> None:
    # Another process may remove the same ones; what stays now, the next build removes.
    with contextlib.suppress(FileNotFoundError):
        others = [path for path in newest.parent.iterdir() if path != newest]
        for path in sorted(others, key=lambda path: path.lstat().st_mtime)[: -(_KEPT - 1)]:
            remove_tree(path)
