"""A directory of things built once and shared by processes: locks, scratch space, publishing.

Nothing here needs repair after a crash. A lock is a ``flock``, which the kernel drops with its
process. Scratch directories of killed processes are swept by the next build. What is published
appears whole, by a rename.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stockade.model.errors import ImageError
from stockade.sandbox.images.programs import no_space

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_POLL_SECONDS = 0.1


class Cache:
    """The cache directory; every build goes through one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @asynccontextmanager
    async def lock(
        self, name: str, *, waiting: Callable[[], None] | None = None
    ) -> AsyncIterator[None]:
        """Hold the lock ``name``; of several processes that build one thing, one builds.

        ``waiting`` is called once if another process holds the lock.
        """
        with disk_errors(self.root):
            path = self.root / "locks" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Polling, as a thread blocked in flock() could not be cancelled.
            while not _try_lock(descriptor):
                if waiting is not None:
                    waiting()
                    waiting = None
                await anyio.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """Give a new private directory on the cache's own disk, removed afterwards."""
        async with scratch_directory(self.root / "tmp") as path:
            with disk_errors(self.root):
                yield path

    def publish(self, made: Path, final: Path) -> None:
        """Move a finished directory to its place, durably; one already there gives way."""
        with disk_errors(self.root):
            for directory, _, files in os.walk(made):
                for name in files:
                    _sync(Path(directory) / name)
                _sync(Path(directory))
            final.parent.mkdir(parents=True, exist_ok=True)
            old = made.with_name(made.name + ".old")
            with _open_directory(final.parent) as parent:
                # Different builds may come to the same contents at the same time.
                fcntl.flock(parent, fcntl.LOCK_EX)
                with contextlib.suppress(FileNotFoundError):
                    final.rename(old)
                made.rename(final)
                os.fsync(parent)


@asynccontextmanager
async def scratch_directory(
    home: Path, *, remove: Callable[[Path], None] | None = None
) -> AsyncIterator[Path]:
    """Give a new private directory in ``home``; sweep those whose processes were killed."""
    remove = remove or remove_tree
    with disk_errors(home):
        path, descriptor = await to_thread.run_sync(_make_scratch, home, remove)
    try:
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(remove, path)
        os.close(descriptor)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk may refuse into one line with a hint."""
    try:
        yield
    except OSError as error:
        doing = f"write the cache {path}"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space(doing) from error
        raise ImageError(
            f"cannot {doing}: {error.strerror or error}",
            hint="Set STOCKADE_CACHE_DIR to a directory that you can write.",
        ) from error


def remove_tree(path: Path) -> None:
    """Remove what can be removed of a tree, however deep and whatever its modes.

    An unpacked image may have read-only directories, and more levels than Python can recurse.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    found: list[str] = []
    pending = [str(path)]
    while pending:
        directory = pending.pop()
        found.append(directory)
        with contextlib.suppress(OSError):
            Path(directory).chmod(0o700)
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
    for directory in reversed(found):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()


def _make_scratch(home: Path, remove: Callable[[Path], None]) -> tuple[Path, int]:
    home.mkdir(parents=True, exist_ok=True)
    # The lock on the parent covers the moment in which a new directory is not locked yet.
    with _open_directory(home) as parent:
        fcntl.flock(parent, fcntl.LOCK_EX)
        for leftover in home.iterdir():
            _sweep(leftover, remove)
        path = Path(tempfile.mkdtemp(prefix="build-", dir=home))
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return path, descriptor


def _sweep(leftover: Path, remove: Callable[[Path], None]) -> None:
    """Remove a scratch directory whose process is gone."""
    with contextlib.suppress(OSError), _open_directory(leftover) as descriptor:
        if _try_lock(descriptor):
            remove(leftover)


@contextmanager
def _open_directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(path: Path) -> None:
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
