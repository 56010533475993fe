"""``dir:PATH``: an image from any root directory.

Built as root, every file keeps its owner. Built by an ordinary user, every file belongs to root in
the guest: the user's own id would otherwise own the whole system there, and may well be the id
that the workload runs under.
"""

from __future__ import annotations

import hashlib
import os
import platform
from itertools import chain
from typing import TYPE_CHECKING

from anyio import to_thread

from stockade.model.errors import ImageError
from stockade.sandbox.images.erofs import pack
from stockade.sandbox.images.manifest import ImageFacts
from stockade.sandbox.images.tree import walk

if TYPE_CHECKING:
    from pathlib import Path

    from stockade.sandbox.images.progress import Progress

_VERSION = 1


class DirectoryImage:
    """A root directory on this host."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def name(self) -> str:
        """``dir:`` and the absolute path."""
        return f"dir:{self._path}"

    async def key(self) -> str:
        """Return the fingerprint of every file's name, size, times, mode and inode.

        The contents are not read: what changes them also changes a file's change time.
        """
        return await to_thread.run_sync(self._fingerprint)

    async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts:  # noqa: ARG002
        """Pack the directory."""
        progress.stage(f"packing {self._path}", None)
        await pack(self._path, target, owner=None if os.geteuid() == 0 else (0, 0))
        return ImageFacts(architecture=_architecture())

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{_VERSION} {self.name} {os.geteuid() == 0}".encode())
        try:
            if not self._path.is_dir():
                what = "is not a directory" if self._path.exists() else "does not exist"
                raise ImageError(f"image {self.name}: {self._path} {what}", hint="Check the path.")
            for path, found in chain([(b"", self._path.stat())], walk(self._path)):
                facts = (
                    found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode,
                    found.st_ino, found.st_uid, found.st_gid, found.st_rdev,
                )  # fmt: skip
                # NUL ends a name and cannot be in one.
                digest.update(path + b"\0" + repr(facts).encode())
        except OSError as error:
            where = os.fsdecode(error.filename or self._path)
            raise ImageError(
                f"image {self.name}: cannot read {where!r}: {error.strerror}",
                hint="Make it readable for this user.",
            ) from error
        return digest.hexdigest()


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
