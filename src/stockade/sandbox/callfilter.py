"""The system calls that would let a hypervisor change a file which it has open for writing.

QEMU before 8.2 opens the file of a machine's RAM for writing also where it maps private copies of
its pages. The file is a template that later machines are copied from, so a hypervisor that was
taken over must not reach it. Writing as such is refused by the jail's RLIMIT_FSIZE of 0
(setrlimit(2)), which cannot be raised again; this filter refuses the rest: shared mappings, and the
calls that cut or punch. It comes on top of QEMU's own filter. And QEMU's wish for huge pages is not
granted: an idle copy would have three MiB of them that it never touches. See
``Documentation/userspace-api/seccomp_filter.rst`` in the kernel's source, and bwrap(1),
``--seccomp``.
"""

from __future__ import annotations

import errno
import os
import struct

# linux/bpf_common.h and linux/filter.h: load a word of the call's description, compare, end.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _END = 0x20, 0x15, 0x35, 0x45, 0x06
# struct seccomp_data (linux/seccomp.h): number, architecture, address, six arguments.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
_X32 = 0x40000000  # numbers of the x32 interface begin here
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_REFUSE = _ERRNO | errno.EPERM
_REFUSED = {
    "truncate": 76,
    "creat": 85,
    "remap_file_pages": 216,
    "fallocate": 285,
    "open_by_handle_at": 304,
    "io_uring_setup": 425,
    "openat2": 437,
}
# Which argument has which value, in calls that are refused then: MADV_HUGEPAGE (madvise(2)).
_VALUES = {"madvise": (28, 2, 14)}
# QEMU truncates the pipe that it saves to, and gives up if it cannot: it is told that it has.
_PRETENDED = {"ftruncate": 77}
# Which argument has which bits, in calls that are refused then.
_BITS = {"open": (2, 1, os.O_TRUNC), "mmap": (9, 3, 1), "openat": (257, 2, os.O_TRUNC)}
# fallocate by ioctl(2), for every file system: FS_IOC_(UN)RESVSP(64), FS_IOC_ZERO_RANGE
# (linux/falloc.h).
_IOCTL = 16
_REQUESTS = (0x40305828, 0x40305829, 0x4030582A, 0x4030582B, 0x40305839)


def program() -> bytes:
    """The filter, as an array of ``struct sock_filter``."""
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _X86_64),
        (_END, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_END, 0, 0, _REFUSE),
    ]
    for number in sorted(_REFUSED.values()):
        steps += [(_EQUAL, 0, 1, number), (_END, 0, 0, _REFUSE)]
    for number in _PRETENDED.values():
        steps += [(_EQUAL, 0, 1, number), (_END, 0, 0, _ERRNO)]
    for test, conditions in ((_ANY_BIT, _BITS), (_EQUAL, _VALUES)):
        for number, argument, wrong in conditions.values():
            steps += [
                (_EQUAL, 0, 4, number),
                (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
                (test, 0, 1, wrong),
                (_END, 0, 0, _REFUSE),
                (_END, 0, 0, _ALLOW),
            ]
    steps += [(_EQUAL, 1, 0, _IOCTL), (_END, 0, 0, _ALLOW), (_LOAD, 0, 0, _ARGUMENTS + 8)]
    for request in _REQUESTS:
        steps += [(_EQUAL, 0, 1, request), (_END, 0, 0, _REFUSE)]
    steps.append((_END, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def open_program() -> int:
    """A new descriptor from which the filter can be read once."""
    fd = os.memfd_create("filter", os.MFD_CLOEXEC)
    os.write(fd, program())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
