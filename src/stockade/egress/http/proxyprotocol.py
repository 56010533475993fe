"""The header that tells Envoy whose connection it is, before the guest's first byte.

HAProxy's PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt, 2.2). What follows it is the
guest's and is never taken for another one.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

AUTHORITY = 0x02  # PP2_TYPE_AUTHORITY: the host name

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXY = 0x21  # version 2, command PROXY
_TCP6 = 0x21
_MAX_HOST = 255


def header(session: IPv6Address, destination: IPv4Address, port: int, host: str) -> bytes:
    """Say that ``session`` connects to ``host``, known to it as ``destination``, at ``port``.

    ValueError if the host is not an ASCII name of 1 to 255 printable characters, or the session not
    an address of one machine (Envoy would drop the connection).
    """
    if session.is_multicast or session.is_unspecified:
        raise ValueError(f"{session} is no address of a session")
    if not (host.isascii() and host.isprintable() and 0 < len(host) <= _MAX_HOST):
        raise ValueError(f"{host!r:.80} is no name of a host")
    name = host.encode("ascii")
    mapped = b"\0" * 10 + b"\xff\xff" + destination.packed  # RFC 4291, 2.5.5.2
    body = session.packed + mapped + struct.pack("!HH", 0, port)
    body += struct.pack("!BH", AUTHORITY, len(name)) + name
    return _SIGNATURE + struct.pack("!BBH", _PROXY, _TCP6, len(body)) + body
