"""Host files for a machine: each grant becomes a read-only disk that never has a name on the host.

The copy is made when the machine starts. The machine works on the copy, so nothing it does reaches
the host's files, and nothing that changes on the host later reaches the machine.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import StockadeError
from stockade.sandbox.backends.base import Disk
from stockade.sandbox.images.erofs import pack
from stockade.sandbox.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from stockade.model.profile import FileGrant

UID = GID = 1000
"""Owner of granted files inside, and user of every command: the guest's own ``agent``."""

_SINGLE = "file"  # the name, on its disk, of a grant that is one file


@dataclass(frozen=True)
class GrantDisk:
    """A packed grant, and what the agent is told about it."""

    disk: Disk
    message: dict[str, str]


async def pack_grants(grants: Sequence[FileGrant], owned: ExitStack) -> list[GrantDisk]:
    """Pack every grant; the disks' descriptors are closed by ``owned``."""
    return [await _pack(number, grant, owned) for number, grant in enumerate(grants)]


async def _pack(number: int, grant: FileGrant, owned: ExitStack) -> GrantDisk:
    host, kind = _look(grant.host)
    folder = cache_dir() / "tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        image = owned.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115
    except OSError as error:
        raise StockadeError(
            f"cannot make a temporary file in {folder}: {error.strerror}",
            hint="Set STOCKADE_CACHE_DIR to a folder that can be written.",
        ) from None
    message = {"disk": f"files-{number}", "target": grant.guest, "access": grant.access.value}
    if stat.S_ISREG(kind):
        message["file"] = _SINGLE
        with tempfile.TemporaryDirectory(dir=folder) as staging:
            _stage(host, Path(staging) / _SINGLE)
            await pack(Path(staging), image.fileno(), owner=(UID, GID))
    else:
        await pack(host, image.fileno(), owner=(UID, GID))
    return GrantDisk(Disk(message["disk"], _read_only(image.fileno(), owned)), message)


def _read_only(fd: int, owned: ExitStack) -> int:
    """Open the nameless file once more: QEMU takes only what it could not write, and rightly."""
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    owned.callback(os.close, again)
    return again


def _look(path: Path) -> tuple[Path, int]:
    """Resolve what the user named; links inside a granted folder are never followed."""
    try:
        # Path.resolve raises RuntimeError for a loop of links before Python 3.13.
        host = Path(os.path.realpath(path, strict=True))
        kind = host.stat().st_mode
    except OSError as error:
        raise StockadeError(
            f"cannot give {str(path)!r} to the machine: {error.strerror}",
            hint="Check the path; relative ones start at the profile's folder, or here.",
        ) from None
    if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
        raise StockadeError(
            f"cannot give {str(path)!r} to the machine: it is neither a file nor a folder",
            hint="Sockets, pipes and devices of the host stay outside.",
        )
    return host, kind


def _stage(source: Path, target: Path) -> None:
    try:
        shutil.copy2(source, target)
        target.parent.chmod(0o755)
    except OSError as error:
        raise StockadeError(f"cannot read {str(source)!r}: {error.strerror}") from None
