"""File operations that follow no link: what was decided about a path holds for the file it opens.

``resolve`` says where a path leads. The others take such an answer and walk it folder by folder,
each opened below the last and none through a symbolic link, so that a link put there meanwhile
makes them fail. A file with a second name is refused, as that name may be one nobody decided on;
so is everything in ``/proc``, ``/sys`` and ``/dev``.
"""

from __future__ import annotations

import errno
import os
import stat

_MOST_LINKS = 40  # as the kernel has it, see path_resolution(7)
_REFUSED = (b"proc", b"sys", b"dev")
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 16


def resolve(path: bytes) -> bytes:
    """Follow all links of the absolute ``path``; its last parts need not exist.

    Raises ``OSError`` where the kernel would, and for links in ``/proc``, which lead elsewhere than
    their text says.
    """
    done: list[bytes] = []
    pending = path.split(b"/")[::-1]
    links, missing = 0, False
    while pending:
        name = pending.pop()
        if name in (b"", b".", b".."):
            if name == b".." and missing:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            del done[len(done) - (name == b"..") :]
            continue
        done.append(name)
        kind = 0 if missing else _kind(done)
        missing = not kind
        if stat.S_ISLNK(kind):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, "Too many levels of symbolic links", path)
            done, target = _follow(done)
            pending += target.split(b"/")[::-1]
        elif kind and pending and not stat.S_ISDIR(kind):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
    return _join(done)


def _kind(names: list[bytes]) -> int:
    """What stands there; 0 for nothing."""
    try:
        return os.lstat(_join(names)).st_mode
    except FileNotFoundError:
        return 0


def _follow(link: list[bytes]) -> tuple[list[bytes], bytes]:
    """Give the folder from which a link's target goes on, and the target."""
    if link[0] == b"proc":
        raise OSError(errno.ELOOP, "Leads through a link in /proc", _join(link))
    target = os.readlink(_join(link))
    return ([] if target.startswith(b"/") else link[:-1]), target


def _join(names: list[bytes]) -> bytes:
    return b"/" + b"/".join(names)


def open_folder(path: bytes, *, make: bool = False) -> int:
    """Open the folder ``path`` to look names up in it; ``make`` it where it is missing."""
    names = _names(path)
    folder = os.open(b"/", _FOLDER)
    for name in names:
        try:
            below = _enter(name, folder, make=make)
        finally:
            os.close(folder)
        folder = below
    return folder


def open_file(path: bytes) -> int:
    """Open the regular file ``path``, which has no other name, to read it."""
    parent, name = _split(path)
    folder = open_folder(parent)
    try:
        return open_regular(name, folder)
    finally:
        os.close(folder)


def open_regular(name: bytes, folder: int) -> int:
    """Open the regular file ``name`` of a folder, which has no other name, to read it."""
    # Not waiting for a writer, should it be a pipe.
    fd = os.open(
        name,
        os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC,
        dir_fd=folder,
    )
    try:
        expect_regular(os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def expect_regular(status: os.stat_result) -> None:
    """Raise ``OSError`` for all but a regular file with one name."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "Is a symbolic link now; try again")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    if status.st_nlink > 1:
        raise OSError(
            errno.EMLINK,
            f"Has {status.st_nlink} names (hard links), and another may be one that is not granted",
        )


def copy_out(path: bytes) -> None:
    """Write the file's bytes to standard output."""
    fd = open_file(path)
    while chunk := os.read(fd, _CHUNK):
        write_all(1, chunk)


def replace(path: bytes, mode: int) -> None:
    """Put what standard input holds in place of the file, whole or not at all.

    Missing folders are made. A file that is there keeps its permissions, a new one gets ``mode``.
    """
    parent, name = _split(path)
    folder = open_folder(parent, make=True)
    part = b".%s.%d.part" % (name[:200], os.getpid())
    mode = _mode_to_keep(name, folder, mode)
    fd = os.open(
        part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o777, dir_fd=folder
    )
    try:
        while chunk := os.read(0, _CHUNK):
            write_all(fd, chunk)
        os.fchmod(fd, mode)
        _mode_to_keep(name, folder, mode)  # a link may stand there by now
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(part, dir_fd=folder)
        raise


def open_listed(path: bytes) -> int:
    """Open the folder ``path`` to list it."""
    folder = open_folder(path)
    try:
        return os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)


def write_all(fd: int, chunk: bytes) -> None:
    """Write all of ``chunk``."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]


def _mode_to_keep(name: bytes, folder: int, mode: int) -> int:
    try:
        status = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return mode
    expect_regular(status)
    return status.st_mode & 0o777


def _enter(name: bytes, folder: int, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(name, 0o755, dir_fd=folder)
        return os.open(name, _FOLDER, dir_fd=folder)
    except NotADirectoryError:
        if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            raise OSError(errno.ELOOP, "A folder has become a symbolic link; try again") from None
        raise


def _split(path: bytes) -> tuple[bytes, bytes]:
    parent, _, name = path.rpartition(b"/")
    if not name:
        raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
    if not parent:
        _expect_ours(name)
    return parent, name


def _names(path: bytes) -> list[bytes]:
    names = [name for name in path.split(b"/") if name]
    if b"." in names or b".." in names:
        raise OSError(errno.EINVAL, "Not a resolved path", path)
    if names:
        _expect_ours(names[0])
    return names


def _expect_ours(first: bytes) -> None:
    if first in _REFUSED:
        raise PermissionError(errno.EACCES, f"Tools do not go into /{first.decode()}")
