"""System calls that Python 3.11 has no function for.

Each wrapper raises ``OSError`` with the call's errno. Constants are from the kernel's UAPI headers.
"""

from __future__ import annotations

import ctypes
import errno
import os

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT = 32
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000
_MADV_POPULATE_WRITE = 23
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
_LAST_CAPABILITY = 63
_AT_FDCWD = -100
_POWER_OFF = 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, subject: str = "") -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject or None)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None), target)


def unmount(target: str) -> None:
    """umount2(2), lazily: the tree goes as soon as its last user does."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2). glibc has no wrapper; 155 is its number on x86-64."""
    _check(_libc.syscall(155, os.fsencode(new_root), os.fsencode(put_old)), new_root)


def clone_tree(path: str) -> int:
    """open_tree(2) with OPEN_TREE_CLONE: a descriptor of a detached copy of a mount."""
    flags = 0x1 | os.O_CLOEXEC | 0x8000  # OPEN_TREE_CLONE, AT_RECURSIVE
    fd = _libc.syscall(428, _AT_FDCWD, os.fsencode(path), ctypes.c_uint(flags))
    _check(min(fd, 0), path)
    return int(fd)


def attach_tree(fd: int, target: str) -> None:
    """move_mount(2): attach the detached mount ``fd`` at ``target``."""
    _check(_libc.syscall(429, fd, b"", _AT_FDCWD, os.fsencode(target), ctypes.c_uint(0x4)), target)


def own_memory() -> None:
    """Have pages of its own in place of those that this process shares with children it forked.

    By MADV_POPULATE_WRITE (madvise(2)); otherwise each is copied when it is next written to.
    """
    with open("/proc/self/maps", encoding="utf-8") as maps:
        mappings = [line.split(maxsplit=2)[:2] for line in maps]
    for addresses, access in mappings:
        if access == "rw-p":
            start, end = (int(address, 16) for address in addresses.split("-"))
            size = ctypes.c_size_t(end - start)
            _check(_libc.madvise(ctypes.c_void_p(start), size, _MADV_POPULATE_WRITE), addresses)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(flags))


def setns(fd: int, kind: int) -> None:
    """setns(2)."""
    _check(_libc.setns(fd, kind))


def bpf(command: int, attributes: bytes) -> int:
    """bpf(2): the new descriptor, or 0. glibc has no wrapper; 321 is its number on x86-64."""
    union = ctypes.create_string_buffer(attributes, len(attributes))
    result = int(_libc.syscall(321, command, union, len(attributes)))
    _check(min(result, 0), "bpf")
    return result


def power_off() -> None:
    """reboot(2): the machine ends at once."""
    os.sync()
    _check(_libc.reboot(_POWER_OFF))


def forgo_new_privileges() -> None:
    """Make sure that nothing this process executes gains a privilege that it has not.

    See ``Documentation/userspace-api/no_new_privs.rst`` in the kernel's source.
    """
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def drop_bounding_set() -> None:
    """Let no program that this process or a child executes have a capability (capabilities(7)).

    The process keeps those it has. Only root may; anyone else gets EPERM.
    """
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            if ctypes.get_errno() == errno.EINVAL:
                break  # past the last capability that this kernel knows
            _check(-1)


def write_file(path: str, text: str) -> None:
    """Write one of the kernel's own files; Python's file objects cost ten times as much."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


def read_file(path: str) -> str:
    """Read one of the kernel's own files, at most 64 KiB."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode("ascii")
    finally:
        os.close(fd)
