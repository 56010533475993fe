"""Walk a directory tree without following symbolic links: measure it, or find what is wrong.

Names are bytes throughout, as a file name need not be text.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.model.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# mkfs.erofs 1.5 cuts a name of 255 bytes short, and aborts on a path that overflows PATH_MAX.
_NAME_LIMIT = 254
_PATH_LIMIT = 4095
# A hole worth the chunked format: a file system may keep a few blocks fewer than the size says.
_HOLE = 1024 * 1024


@dataclass(frozen=True)
class Survey:
    """What a tree holds. ``size`` is the apparent size: holes count in full."""

    files: int
    size: int
    sparse: bool


def walk(
    tree: Path, excluded: frozenset[bytes] = frozenset()
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield (path relative to ``tree``, lstat) of everything below it, in sorted order.

    A directory comes before its contents. One that cannot be read or has vanished raises OSError.
    """
    root = os.fsencode(tree)
    pending = [b""]
    while pending:
        directory = pending.pop()
        with os.scandir(os.path.join(root, directory)) as entries:  # noqa: PTH118 - bytes
            names = sorted(entry.name for entry in entries)
        below = []
        for name in names:
            path = os.path.join(directory, name)  # noqa: PTH118 - bytes
            if path in excluded:
                continue
            found = os.lstat(os.path.join(root, path))  # noqa: PTH118 - bytes
            yield path, found
            if stat.S_ISDIR(found.st_mode):
                below.append(path)
        pending += reversed(below)


def survey(tree: Path, excluded: frozenset[bytes], limit: int) -> Survey:
    """Measure a tree, or say why it cannot become an image."""
    root_length = len(os.fsencode(os.path.realpath(tree))) + 1
    files = size = 0
    sparse = False
    try:
        if not tree.is_dir():
            raise ImageError(f"cannot pack {tree}: it is not a directory")
        for path, found in walk(tree, excluded):
            files += 1
            if len(os.path.basename(path)) > _NAME_LIMIT or root_length + len(path) > _PATH_LIMIT:  # noqa: PTH119 - bytes
                raise _too_long(tree, path)
            if stat.S_ISREG(found.st_mode):
                size += found.st_size
                sparse = sparse or found.st_blocks * 512 + _HOLE <= found.st_size
            if size > limit:
                raise ImageError(
                    f"cannot pack {tree}: it holds more than {limit / 1024**3:.3g} GiB"
                    " (holes in sparse files count in full)",
                    hint="Leave out what the guest does not need.",
                )
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else str(tree)
        if error.errno == errno.ENAMETOOLONG and where != str(tree):
            raise _too_long(tree, os.fsencode(os.path.relpath(where, tree))) from None
        raise ImageError(
            f"cannot pack {tree}: {where!r}: {error.strerror}",
            hint="Check that the path is readable, and that nothing changes it meanwhile.",
        ) from error
    return Survey(files, size, sparse)


def first_unreadable(tree: Path, excluded: frozenset[bytes]) -> bytes | None:
    """Return the path of the first file that this user may not read, if there is one."""
    for path, found in walk(tree, excluded):
        full = os.path.join(os.fsencode(tree), path)  # noqa: PTH118 - bytes
        if stat.S_ISREG(found.st_mode) and not os.access(full, os.R_OK):
            return path
    return None


def _too_long(tree: Path, path: bytes) -> ImageError:
    return ImageError(
        f"cannot pack {tree}: the name of {_short(path)} is too long",
        hint=f"Keep names to {_NAME_LIMIT} bytes and paths to {_PATH_LIMIT}.",
    )


def _short(path: bytes) -> str:
    text = os.fsdecode(path)
    return repr(text if len(text) <= 60 else f"{text[:40]}...{text[-15:]}")
