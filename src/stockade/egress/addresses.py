"""Where a name leads, looked up on the host, and which of those addresses may be spoken to.

A granted name is no way to the host's own network: whoever holds the name could have it lead there.
Each connection goes to an address that was looked at after it was resolved, so that a name which
leads elsewhere the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import anyio

from stockade.model.errors import StockadeError

Address = IPv4Address | IPv6Address

Resolve = Callable[[str], Awaitable[Iterable[Address]]]
"""Finds the addresses of a name; ``OSError`` if there are none."""

PATIENCE = 10.0
"""Seconds that a name's resolution may take."""

_HINT = "Grant the address itself if it is meant to be reached."
_MOST = 16  # addresses of one name that are looked at
_GLOBAL = IPv6Network("2000::/3")  # all that has been given out as global unicast (RFC 4291)
# Addresses that carry another one in them, by which a gateway might reach what is refused here:
# 6to4 (RFC 3056) and Teredo (RFC 4380).
_CARRIERS = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))


class UnreachableError(StockadeError):
    """A granted host has no address that may be spoken to; the message says why."""


def literal(host: str) -> Address | None:
    """The address that ``host`` is, written in the usual way, or None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def public(address: Address) -> bool:
    """Whether an address is one of the public network, for use by anybody."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return public(address.ipv4_mapped)
        if address not in _GLOBAL or any(address in network for network in _CARRIERS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def look_up(host: str) -> list[Address]:
    """The addresses that the host's own resolver knows ``host`` by."""
    found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ip_address(entry[4][0].partition("%")[0]) for entry in found]


async def addresses_of(
    host: str, resolve: Resolve = look_up, *, meant: bool = False
) -> list[Address]:
    """The addresses that may be spoken to for ``host``, at least one.

    An address that is ``meant``, as a grant has it written out, may be of any kind. One that a
    session merely may go to, as where all is only recorded, has to be public.
    """
    if own := literal(host):
        if meant or public(own):
            return [own]
        raise UnreachableError(f"{host} is not a public address", hint=_HINT)
    try:
        with anyio.fail_after(PATIENCE):
            found = list(dict.fromkeys(await resolve(host)))[:_MOST]
    except TimeoutError:
        raise UnreachableError(f"{host} was not resolved within {PATIENCE:g} s") from None
    except OSError as error:
        raise UnreachableError(f"{host} cannot be resolved: {error.strerror or error}") from None
    allowed = [address for address in found if public(address)]
    if not allowed:
        what = f"leads to {found[0]}, which is not a public address" if found else "has no address"
        raise UnreachableError(f"{host} {what}", hint=_HINT)
    return allowed
