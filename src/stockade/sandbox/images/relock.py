"""Write the locks anew from what the Debian mirror has today.

    python -m stockade.sandbox.images.relock [debian-python] [runtime]

Builds each image once without a lock, with today as its epoch, and writes the versions that it got
into ``locks/`` of this source tree. Review the difference, then commit it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import anyio

from stockade.model.errors import StockadeError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.kit import LOCK as RUNTIME
from stockade.sandbox.images.kit import facts, get_kit
from stockade.sandbox.images.locks import Lock
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.images.sources.debian import DebianPython
from stockade.sandbox.images.store import ImageStore
from stockade.sandbox.paths import cache_dir

_LOCKS = Path(__file__).parent / "locks"


async def relock(name: str, folder: Path = _LOCKS) -> Path:
    """Write one lock anew, into ``folder``, and return its path."""
    unlocked = Lock({}, epoch=int(time.time()))
    cache = Cache(cache_dir())
    if name == DebianPython.name:
        image = await ImageStore(cache.root).get(DebianPython(unlocked), Silent(), rebuild=True)
        versions = image.manifest.packages
    elif name == RUNTIME:
        found = facts(await get_kit(cache, Silent(), unlocked))
        versions = found.packages if found else {}
    else:
        raise StockadeError(f"no lock named {name!r}", hint=f"{DebianPython.name} or {RUNTIME}")
    path = folder / f"{name}.lock"
    path.write_text(Lock(versions, unlocked.epoch).text())
    return path


async def _main(names: list[str]) -> None:
    for name in names or [DebianPython.name, RUNTIME]:
        path = await relock(name)
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    try:
        anyio.run(_main, sys.argv[1:])
    except StockadeError as error:
        sys.exit(f"{error}. {error.hint}")
