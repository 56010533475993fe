"""The private folder of one Stockade process, for sockets and configuration; no secret is in it.

A process that was killed leaves its folder behind; the next one sweeps it up.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import StockadeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "stockade-egress-"
_LOCK = "lock"
_ROOM = 60
"""Bytes that the parent's path may have: a socket's address has room for 107 (unix(7))."""


@contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """Make a folder that only this user can enter, and remove it at the end.

    It is in ``parent``, or in the system's folder for temporary files if that is too long a path
    for sockets to be in; ``StockadeError`` if that one is as well.
    """
    if len(os.fsencode(parent)) > _ROOM:
        parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > _ROOM:
        raise StockadeError(
            f"{parent} is too long a path for sockets", hint="Set TMPDIR to a shorter one."
        )
    guard = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    lock = -1
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)  # a folder just made must not look abandoned
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(guard)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Not ours, or gone meanwhile: another one's to sweep.
        with suppress(OSError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
