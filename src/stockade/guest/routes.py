"""Every address leads to this machine: there is no card by which anything could leave it.

Routes are set by rtnetlink messages (rtnetlink(7)), as the agent has no other program to ask.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import socket

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # netdevice(7)
_RTM_NEWROUTE = 24
_REQUEST = 0x1 | 0x4 | 0x200 | 0x400  # NLM_F_REQUEST, _ACK, _EXCL, _CREATE
_TABLE_LOCAL, _PROTOCOL_BOOT, _SCOPE_HOST, _TYPE_LOCAL = 255, 3, 254, 2
_RTA_OIF, _RTA_PREFSRC = 4, 7
_LOOPBACK = 1  # the index that every network namespace gives its first interface


def lead_home() -> None:
    """Raise the loopback interface, and make all of IPv4 and IPv6 local to it."""
    import socket  # noqa: PLC0415 - costs 20 ms of the boot under emulation, so it is not at the top

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        for family, source in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            # The source is loopback's, as a program would otherwise have for its own address the
            # one that it speaks to.
            _add_local(netlink, family, socket.inet_pton(family, source))


def _add_local(netlink: socket, family: int, source: bytes) -> None:
    """Add a route like ``ip route add local default dev lo src SOURCE``."""
    kind = (_TABLE_LOCAL, _PROTOCOL_BOOT, _SCOPE_HOST, _TYPE_LOCAL)
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, *kind, 0)
    for attribute, value in ((_RTA_OIF, struct.pack("=I", _LOOPBACK)), (_RTA_PREFSRC, source)):
        body += struct.pack("=HH", 4 + len(value), attribute) + value
    netlink.send(struct.pack("=IHHII", 16 + len(body), _RTM_NEWROUTE, _REQUEST, 1, 0) + body)
    answer = netlink.recv(4096)
    error = struct.unpack_from("=i", answer, 16)[0]  # NLMSG_ERROR, 0 for done
    if error:
        raise OSError(-error, os.strerror(-error), "route")
