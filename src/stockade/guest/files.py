"""File operations for the host, done as the workload's user inside the workload's tree.

Each runs in a contained child, exactly like a command: whatever links or permissions the workload
sets up, the host can be led no further than the workload itself could go. Bytes travel by the
child's standard streams; a failure is one JSON line on standard error: ``kind``, ``message``.

The actions that end in ``-exact`` are those of scoped tools: they take what ``resolve`` has said
and follow no link, see ``exact.py``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
from typing import TYPE_CHECKING, NoReturn

from stockade.guest import exact, search

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 16
_LISTING_LIMIT = 100_000
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def check(action: str) -> None:
    """Raise ``ValueError`` if there is no such action."""
    if action not in _ACTIONS:
        raise ValueError(f"no such file action: {action}")


def operate(action: str, path: bytes, mode: int) -> NoReturn:
    """Do ``action`` in a process of its own, and end it."""
    try:
        _ACTIONS[action](*((path, mode) if action in _WITH_MODE else (path,)))
        sys.stdout.flush()
    except OSError as error:
        kind = errno.errorcode.get(error.errno or 0, "EINVAL")
        os.write(2, json.dumps({"kind": kind, "message": error.strerror}).encode())
        os._exit(1)
    os._exit(0)


def read(path: bytes) -> None:
    """Write the file's bytes to standard output. Only regular files: a pipe could block forever."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(fd).st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "Not a regular file", path)
    while chunk := os.read(fd, _CHUNK):
        exact.write_all(1, chunk)


def write(path: bytes, mode: int) -> None:
    """Replace the file at ``path`` by what standard input holds, whole or not at all."""
    folder, name = os.path.split(path)
    part = os.path.join(folder, b".%s.%d.part" % (name[:200], os.getpid()))
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        while chunk := os.read(0, _CHUNK):
            exact.write_all(fd, chunk)
        os.fchmod(fd, mode)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def describe(path: bytes) -> None:
    """Write one JSON line about the file itself, links not followed."""
    _say(os.fsdecode(path), os.lstat(path))


def list_folder(path: bytes) -> None:
    """Write one JSON line per entry of the folder, sorted by name, at most 100,000."""
    _list(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path)


def list_exact(path: bytes) -> None:
    """Do what ``list_folder`` does, for the folder that is at just this path."""
    _list(exact.open_listed(path), path)


def resolve(path: bytes) -> None:
    """Write one JSON line with the ``path`` that ``path`` leads to, all links followed."""
    sys.stdout.write(json.dumps({"path": os.fsdecode(exact.resolve(path))}) + "\n")


def make_folder(path: bytes, mode: int) -> None:
    """Create the folder and its missing parents; fine when it exists already."""
    os.makedirs(path, mode, exist_ok=True)


def remove(path: bytes) -> None:
    """Delete one file, link or empty folder."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        os.rmdir(path)
    else:
        os.unlink(path)


def _list(folder: int, path: bytes) -> None:
    with os.scandir(folder) as entries:
        listed: list[os.DirEntry[str]] = []
        for entry in entries:
            if len(listed) == _LISTING_LIMIT:
                raise OSError(0, f"more than {_LISTING_LIMIT} entries", path)
            listed.append(entry)
    for entry in sorted(listed, key=lambda entry: os.fsencode(entry.name)):
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile: no entry of it any more
            _say(entry.name, entry.stat(follow_symlinks=False), folder)


def _say(name: str, status: os.stat_result, folder: int | None = None) -> None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "unknown")
    entry = {
        "name": os.path.basename(name),
        "kind": kind,
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "modified": status.st_mtime,
        "uid": status.st_uid,
    }
    if kind == "symlink":
        entry["target"] = os.readlink(name, dir_fd=folder)
    sys.stdout.write(json.dumps(entry) + "\n")


_ACTIONS: dict[str, Callable[..., None]] = {
    "read": read,
    "write": write,
    "describe": describe,
    "list": list_folder,
    "make-folder": make_folder,
    "remove": remove,
    "resolve": resolve,
    "read-exact": exact.copy_out,
    "write-exact": exact.replace,
    "list-exact": list_exact,
    "search": search.search,
}
_WITH_MODE = {"write", "make-folder", "write-exact"}
