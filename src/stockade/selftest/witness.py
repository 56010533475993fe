"""A witness of all that moves in our own internet, whether or not a host listens for it.

Every packet passes the loopback interface, as there is no other. What opens a connection is noted,
and what needs none (UDP, ICMP and the rest).
"""

from __future__ import annotations

import re
import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = re.compile(rb"tag[0-9]{3}", re.IGNORECASE)
"""What attempts write into all they send, to be known by."""

_ANY = 3  # ETH_P_ALL
_TCP, _UDP, _ICMP, _ICMP6 = 6, 17, 1, 58
_UNREACHABLE = {_ICMP: 3, _ICMP6: 1}  # the kernel's answer to what was noted already
_SYN, _ACK = 0x02, 0x10
_DNS = 53


class Packet(NamedTuple):
    """What a packet was for. ``protocol`` is IANA's number, ``port`` 0 where there is none."""

    protocol: int
    host: str
    port: int
    text: str


def read(packet: bytes) -> Packet | None:
    """What is worth noting of an IP packet (RFC 791, RFC 8200); None if nothing is."""
    if len(packet) < 20:
        return None
    if packet[0] >> 4 == 4:
        protocol, host = packet[9], ip_address(packet[16:20])
        body = packet[(packet[0] & 0xF) * 4 :]
    elif len(packet) >= 40:
        protocol, host = packet[6], ip_address(packet[24:40])
        body = packet[40:]
    else:
        return None
    if protocol in (_TCP, _UDP) and len(body) >= 8:
        source, port = struct.unpack_from("!HH", body)
        mark = MARK.search(body)
        if protocol == _UDP:
            wanted = source != _DNS  # those are answers
        else:
            opening = body[13] & (_SYN | _ACK) == _SYN
            wanted = opening or bool(mark and not host.is_loopback)
        text = mark[0].decode() if mark else ""
        return Packet(protocol, str(host), port, text) if wanted else None
    if body and body[0] == _UNREACHABLE.get(protocol, -1):
        return None
    return Packet(protocol, str(host), 0, "")


async def watch(note: Callable[..., None]) -> None:
    """Note packets until cancelled."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ANY)) as wire:
        wire.bind(("lo", _ANY))
        wire.setblocking(False)
        while True:
            await anyio.wait_readable(wire)
            packet, where = wire.recvfrom(65_536)
            if where[2] == socket.PACKET_OUTGOING:
                continue  # it is seen once more, arriving
            if seen := read(packet):
                note(kind="packet", **seen._asdict())
