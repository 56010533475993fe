"""A real process under the filter, with a file open for writing, tries all ways to change it."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stockade.sandbox import callfilter

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 64 * 1024
# As in the jail: no file may be written, no capability is left that could raise that again.
_ENTER = 'ulimit -f 0; exec bwrap --dev-bind / / --cap-drop ALL --seccomp "$0" -- "$@"'

_TOOLS = r"""
import ctypes, errno, fcntl, json, mmap, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
path = sys.argv[1]
fd = os.open(path, os.O_RDWR)
SIZE = 65536

def call(number, *arguments):
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]

def piped():
    readable, writable = os.pipe()
    os.write(writable, b"x" * 4096)
    return readable

def mapped(flags, protection=3):
    place = call(9, 0, SIZE, protection, flags, fd, 0)
    ctypes.memset(place, 120, SIZE)

def raised():
    # mmap for reading, and the right to write asked for later
    place = call(9, 0, SIZE, 1, 1, fd, 0)
    call(10, place, SIZE, 3)
    ctypes.memset(place, 120, SIZE)

def private():
    return call(9, 0, SIZE, 3, 2, fd, 0)

def reserve(request):
    fcntl.ioctl(fd, request, struct.pack("hhxxxxqqiI4i", 0, 0, 0, 4096, 0, 0, 0, 0, 0, 0))

def asynchronously():
    context = ctypes.c_ulong(0)
    call(206, 8, ctypes.byref(context))
    data = ctypes.create_string_buffer(b"x" * 4096)
    block = struct.pack("QIIHhIQQqQII", 0, 0, 0, 1, 0, fd, ctypes.addressof(data), 4096, 0, 0, 0, 0)
    block = ctypes.create_string_buffer(block)
    pointer = ctypes.pointer(ctypes.cast(block, ctypes.c_void_p))
    call(209, context.value, 1, pointer)
    events = ctypes.create_string_buffer(32)
    call(208, context.value, 1, 1, events, None)
    result = struct.unpack("QQqq", events.raw)[2]
    if result < 0:
        raise OSError(-result, os.strerror(-result))

def by_the_back_door():
    # What is written through /proc is copied first, as the mapping is private.
    place = private()
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(place)
        memory.write(b"x" * SIZE)
    raise OSError(0, "a copy was written")
"""

# Each expression either raises OSError or has done it.
_WAYS = {
    "write": "os.write(fd, b'x')",
    "pwrite": "os.pwrite(fd, b'x', 100)",
    "writev": "os.writev(fd, [b'x', b'y'])",
    "pwritev2": "os.pwritev(fd, [b'x'], 0, os.RWF_DSYNC)",
    "append": "os.write(os.open(path, os.O_WRONLY | os.O_APPEND), b'x')",
    "mmap shared": "mapped(1)",
    "mmap shared, validated": "mapped(3)",
    "mmap shared and mprotect": "raised()",
    "mmap shared by a number with high bits": "call(9, 0, SIZE, 3, 1 | 1 << 32, fd, 0)",
    "remap_file_pages": "call(216, private(), 4096, 0, 0, 0)",
    "madvise remove": "call(28, private(), SIZE, 9)",
    "ftruncate": "os.ftruncate(fd, 0)",
    "truncate": "os.truncate(path, 0)",
    "truncate by the descriptor's name": "os.truncate(f'/proc/self/fd/{fd}', 0)",
    "open and truncate": "os.open(path, os.O_RDWR | os.O_TRUNC)",
    "open, create and truncate": "os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o660)",
    "open by the descriptor's name": "os.open(f'/proc/self/fd/{fd}', os.O_WRONLY | os.O_TRUNC)",
    "the old open": "call(2, ctypes.c_char_p(path.encode()), os.O_RDWR | os.O_TRUNC, 0)",
    "creat": "call(85, ctypes.c_char_p(path.encode()), 0o660)",
    "openat2": (
        "call(437, -100, ctypes.c_char_p(path.encode()),"
        " ctypes.c_char_p(struct.pack('QQQ', os.O_RDWR | os.O_TRUNC, 0, 0)), 24)"
    ),
    "fallocate, punching": "call(285, fd, 3, 0, 4096)",
    "fallocate, zeroing": "call(285, fd, 16, 0, 4096)",
    "fallocate, collapsing": "call(285, fd, 8, 0, 4096)",
    "fallocate, growing": "call(285, fd, 0, SIZE, 4096)",
    # The same by ioctl(2), for every file system: fs/ioctl.c in the kernel's source.
    "FS_IOC_RESVSP": "reserve(0x40305828)",
    "FS_IOC_UNRESVSP": "reserve(0x40305829)",
    "FS_IOC_RESVSP64": "reserve(0x4030582A)",
    "FS_IOC_UNRESVSP64": "reserve(0x4030582B)",
    "FS_IOC_ZERO_RANGE": "reserve(0x40305839)",
    "FICLONE": "fcntl.ioctl(fd, 0x40049409, os.open('/proc/self/exe', os.O_RDONLY))",
    "io_uring_setup": "call(425, 8, ctypes.create_string_buffer(120))",
    "io_submit": "asynchronously()",
    "copy_file_range": "os.copy_file_range(os.open(path, os.O_RDONLY), fd, 4096, 8192, 0)",
    "sendfile": "os.sendfile(fd, os.open('/proc/self/exe', os.O_RDONLY), 0, 4096)",
    "splice": "call(275, piped(), None, fd, ctypes.byref(ctypes.c_long(0)), 4096, 0)",
    "write to a private mapping by /proc": "by_the_back_door()",
    "x32 write": "call(0x40000001, fd, ctypes.c_char_p(b'x'), 1)",
    "x32 ftruncate": "call(0x40000000 + 77, fd, 0)",
    "x32 pwritev": "call(0x40000000 + 535, fd, ctypes.byref(Vector(b'x', 1)), 1, 0)",
}

# QEMU truncates what it saves to, be it a pipe; so it may be told that this was done.
_PRETENDED = {"ftruncate"}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Give a file that anybody may write, full of what nobody writes here."""
    path = tmp_path / "target"
    path.write_bytes(b"t" * _SIZE)
    path.chmod(0o666)
    return path


def _run(script: str, target: Path) -> subprocess.CompletedProcess[bytes]:
    fd = callfilter.open_program()
    try:
        return subprocess.run(
            ["sh", "-c", _ENTER, str(fd), sys.executable, "-c", _TOOLS + script, str(target)],
            pass_fds=[fd],
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(fd)


def test_there_is_no_way_to_change_a_file(target: Path) -> None:
    script = f"""
said = {{}}
for name, way in {_WAYS!r}.items():
    try:
        exec(way)
    except OSError as error:
        said[name] = errno.errorcode.get(error.errno, error.strerror)
    else:
        said[name] = "done"
    changed = os.path.getsize(path) != SIZE or open(path, "rb").read() != b"t" * SIZE
    if changed:
        said[name] = "CHANGED"
        break
print(json.dumps(said))
"""
    done = _run(script, target)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert {name for name, how in said.items() if how in ("done", "CHANGED")} <= _PRETENDED, said
    assert said.keys() == _WAYS.keys()
    # Not for want of such a call that they fail.
    assert {said[name] for name in ("write", "pwrite", "writev", "io_submit")} == {"EFBIG"}
    assert {said[name] for name in ("mmap shared", "truncate", "fallocate, punching")} == {"EPERM"}
    assert target.read_bytes() == b"t" * _SIZE


@pytest.mark.parametrize("way", sorted(_WAYS))
def test_each_way_fails_alone(target: Path, way: str) -> None:
    """One way must not hide behind the failure of another, such as a file that is empty by now."""
    done = _run(f"try: {_WAYS[way]}\nexcept OSError: print('refused')", target)
    assert target.read_bytes() == b"t" * _SIZE
    assert done.stdout == b"refused\n" or way in _PRETENDED, done.stderr.decode()


@pytest.mark.parametrize("call", ["ftruncate", "write"])
def test_calls_by_the_old_interrupt_end_the_process(target: Path, call: str) -> None:
    number = {"write": 4, "ftruncate": 93}[call]
    # mov eax, number; mov ebx, fd; xor ecx, ecx; mov edx, 1; int 0x80; ret
    code = b"\xb8" + struct.pack("<I", number) + b"\xbb%b\x31\xc9\xba\x01\0\0\0\xcd\x80\xc3"
    script = f"""
code = {code!r} % struct.pack("<I", fd)
page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
page.write(code)
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print("came back")
"""
    done = _run(script, target)
    # bubblewrap tells of a signal as a shell does. Kernels without that interrupt fault instead.
    assert done.returncode in {128 + signal.SIGSYS, 128 + signal.SIGSEGV}, done
    assert target.read_bytes() == b"t" * _SIZE


def test_what_a_machine_needs_still_works(target: Path) -> None:
    script = """
place = private()
ctypes.memset(place, 121, SIZE)
assert ctypes.string_at(place, SIZE) == b"y" * SIZE
with mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
    page.write(b"x")
readable, writable = os.pipe()
assert os.write(writable, b"through a pipe") and os.read(readable, 99) == b"through a pipe"
assert os.pread(fd, 2, 10) == b"tt"
assert os.open("/dev/null", os.O_RDONLY) > 0
print("works")
"""
    done = _run(script, target)
    assert (done.returncode, done.stdout) == (0, b"works\n"), done.stderr.decode()
    assert target.read_bytes() == b"t" * _SIZE


def test_huge_pages_are_not_to_be_had(target: Path) -> None:
    script = """
place = call(9, 0, 1 << 22, 3, 34, -1, 0)
for advice in (4, 14, 15):  # MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE
    try:
        call(28, place, 1 << 22, advice)
    except OSError as error:
        print(advice, errno.errorcode[error.errno])
"""
    done = _run(script, target)
    # A kernel built without them knows neither of the latter two.
    assert done.stdout.splitlines()[0] == b"14 EPERM", done
    assert b"4 " not in done.stdout.replace(b"14 ", b"")


def test_the_program_can_be_read_once_and_is_whole_instructions() -> None:
    fd = callfilter.open_program()
    try:
        assert os.read(fd, 1 << 16) == callfilter.program()
        assert os.read(fd, 1 << 16) == b""
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
    assert len(callfilter.program()) % 8 == 0
