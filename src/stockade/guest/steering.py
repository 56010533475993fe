"""Have every connection of the workload end at one socket of ours, whatever its address.

A program of the kernel's kind ``sk_lookup`` chooses the socket for what nobody is connected to yet
(``Documentation/bpf/prog_sk_lookup.rst`` in the kernel's source): TCP to any address but loopback
comes to a listener, datagrams to port 53 to a resolver, and other datagrams to nobody. The socket's
own address is then the one that was asked for. There is nothing to translate, and so no connection
tracking whose table could be filled.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final

from stockade.guest import linux

if TYPE_CHECKING:
    from socket import socket

_MAP_CREATE, _MAP_UPDATE, _PROG_LOAD, _LINK_CREATE = 0, 2, 5, 28
_SOCKMAP, _SK_LOOKUP, _ATTACH = 15, 30, 36
_CONNECTIONS, _QUESTIONS = 0, 1  # keys of the map
_DNS: Final = 53

# struct bpf_sk_lookup (include/uapi/linux/bpf.h): offsets of its fields. Addresses are in network
# order, the local port is in the host's.
_FAMILY, _PROTOCOL, _LOCAL_IP4, _LOCAL_IP6, _LOCAL_PORT = 8, 12, 40, 44, 60
_INET, _TCP, _UDP = 2, 6, 17
_DROP, _PASS = 0, 1
_LOOKUP_ELEMENT, _RELEASE, _ASSIGN = 1, 86, 124  # functions that a program may call


def steer(connections: socket, questions: socket) -> int:
    """Send all but loopback's to the two sockets; return what keeps it so while it is open.

    Both sockets are IPv6 ones that take IPv4 as well.
    """
    sockets = linux.bpf(_MAP_CREATE, struct.pack("=IIIII", _SOCKMAP, 4, 8, 2, 0))
    for key, one in ((_CONNECTIONS, connections), (_QUESTIONS, questions)):
        _put(sockets, key, one.fileno())
    program = _load(_program(sockets))
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    link = linux.bpf(_LINK_CREATE, struct.pack("=IIII", program, namespace, _ATTACH, 0))
    for fd in (sockets, program, namespace):
        os.close(fd)
    return link


def _put(sockets: int, key: int, fd: int) -> None:
    name = ctypes.create_string_buffer(struct.pack("=I", key), 4)
    value = ctypes.create_string_buffer(struct.pack("=Q", fd), 8)
    where = (ctypes.addressof(name), ctypes.addressof(value))
    linux.bpf(_MAP_UPDATE, struct.pack("=IIQQQ", sockets, 0, *where, 0))


def _load(program: bytes) -> int:
    text = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    head = struct.pack(
        "=IIQQIIQII16sII",
        _SK_LOOKUP, len(program) // 8, ctypes.addressof(text), ctypes.addressof(licence),
        0, 0, 0, 0, 0, b"stockade_steer", 0, _ATTACH,
    )  # fmt: skip
    return linux.bpf(_PROG_LOAD, head)


def _program(sockets: int) -> bytes:
    """The program's instructions (``Documentation/bpf/instruction-set.rst``)."""
    code = _Assembler()
    code.move(6, 1)
    code.load(2, 6, _FAMILY)
    code.unless(2, _INET, "v6")
    code.load(3, 6, _LOCAL_IP4)
    code.mask(3, 0xFF)  # the first octet
    code.when(3, 127, "pass")
    code.jump("steer")
    code.label("v6")
    for word in range(3):
        code.load(3, 6, _LOCAL_IP6 + 4 * word)
        code.unless(3, 0, "steer")
    code.load(3, 6, _LOCAL_IP6 + 12)
    code.when(3, 0x01000000, "pass")  # ::1
    code.label("steer")
    code.set(4, _CONNECTIONS)
    code.load(2, 6, _PROTOCOL)
    code.when(2, _TCP, "find")
    code.unless(2, _UDP, "drop")
    code.load(3, 6, _LOCAL_PORT)
    code.unless(3, _DNS, "drop")
    code.set(4, _QUESTIONS)
    code.label("find")
    code.store(10, 4, -4)
    code.point(1, sockets)
    code.move(2, 10)
    code.add(2, -4)
    code.call(_LOOKUP_ELEMENT)
    code.when(0, 0, "drop")
    code.move(7, 0)
    code.move(1, 6)
    code.move(2, 7)
    code.set(3, 0)
    code.call(_ASSIGN)
    code.move(6, 0)
    code.move(1, 7)
    code.call(_RELEASE)
    code.unless(6, 0, "drop")
    code.label("pass")
    code.leave(_PASS)
    code.label("drop")
    code.leave(_DROP)
    return code.assemble()


class _Assembler:
    """Instructions of eight bytes with jumps to labels: what one small program needs."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int, str]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        self._labels[name] = len(self._code)

    def assemble(self) -> bytes:
        words = []
        for place, (operation, registers, offset, value, target) in enumerate(self._code):
            distance = self._labels[target] - place - 1 if target else offset
            words.append(struct.pack("<BBhi", operation, registers, distance, value))
        return b"".join(words)

    def move(self, target: int, source: int) -> None:
        self._add(0xBF, target, source)

    def set(self, target: int, value: int) -> None:
        self._add(0xB7, target, value=value)

    def add(self, target: int, value: int) -> None:
        self._add(0x07, target, value=value)

    def mask(self, target: int, value: int) -> None:
        self._add(0x57, target, value=value)

    def load(self, target: int, base: int, offset: int) -> None:
        self._add(0x61, target, base, offset=offset)

    def store(self, base: int, source: int, offset: int) -> None:
        self._add(0x63, base, source, offset=offset)

    def point(self, target: int, map_fd: int) -> None:
        self._add(0x18, target, 1, value=map_fd)  # two instructions long; 1 is BPF_PSEUDO_MAP_FD
        self._add(0, 0)

    def jump(self, label: str) -> None:
        self._add(0x05, 0, label=label)

    def when(self, register: int, value: int, label: str) -> None:
        self._add(0x15, register, value=value, label=label)

    def unless(self, register: int, value: int, label: str) -> None:
        self._add(0x55, register, value=value, label=label)

    def call(self, function: int) -> None:
        self._add(0x85, 0, value=function)

    def leave(self, value: int) -> None:
        self.set(0, value)
        self._add(0x95, 0)

    def _add(
        self,
        operation: int,
        target: int,
        source: int = 0,
        *,
        offset: int = 0,
        value: int = 0,
        label: str = "",
    ) -> None:
        self._code.append((operation, source << 4 | target, offset, value, label))
