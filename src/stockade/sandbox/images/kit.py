"""The kit: the part of the runtime that comes from Debian packages and changes only with them.

vmlinuz      the kernel
modules/     the modules that boot a machine; ``order`` lists them in load order
busybox      statically linked
tree/        a root directory with the agent's interpreter, compiled
kit.json     the versions of all packages involved, and the drift from the lock

Every run looks for it here; ``build_kit`` makes it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread
from pydantic import ValidationError

from stockade.sandbox.images.locks import Lock, load_lock
from stockade.sandbox.images.manifest import ImageFacts

if TYPE_CHECKING:
    from stockade.sandbox.images.cache import Cache
    from stockade.sandbox.images.progress import Progress

LOCK = "runtime"
PACKAGES = ("linux-image-cloud-amd64", "python3-minimal", "libpython3.11-stdlib", "busybox-static")
HOOK = Path(__file__).with_name("kit.sh")
_MAKERS = tuple(HOOK.with_name(name) for name in ("build_kit.py", "interpreter.py", "modules.py"))


def kit_key(lock: Lock) -> str:
    """Return the fingerprint of what a kit is made of: the lock, and the code that makes it."""
    parts = [lock.text().encode(), *(name.encode() for name in PACKAGES)]
    parts += [path.read_bytes() for path in (*_MAKERS, HOOK)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


async def get_kit(cache: Cache, progress: Progress, lock: Lock | None = None) -> Path:
    """Return the directory of the kit; build it if it is not there."""
    lock = load_lock(LOCK) if lock is None else lock
    key = kit_key(lock)
    kit = cache.root / "kits" / key
    if facts(kit) is None:
        from stockade.sandbox.images.build_kit import build_kit  # noqa: PLC0415 - few runs build

        async with cache.lock(f"kit-{key}"):
            if facts(kit) is None:
                async with cache.scratch() as scratch:
                    await build_kit(scratch, lock, progress)
                    await to_thread.run_sync(cache.publish, scratch / "kit", kit)
    return kit


def facts(kit: Path) -> ImageFacts | None:
    """Return what a kit was made of; None if it is absent or damaged."""
    try:
        return ImageFacts.model_validate_json((kit / "kit.json").read_bytes())
    except (OSError, ValidationError):
        return None
