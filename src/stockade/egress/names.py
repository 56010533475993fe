"""Invented addresses: what a machine is told in place of a name's own.

They are of the range for benchmarks (RFC 2544), which nobody uses, and mean something within one
session only. A connection to one tells the host which name was meant, and the real address is
nobody's business but the host's.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address, IPv4Network

_RANGE = IPv4Network("198.18.0.0/15")
_FIRST = int(_RANGE.network_address) + 256  # before it is the address of the resolver
NAMES = 4096
"""Names that one session may have addresses for at once; the one used longest ago goes first."""

LIFETIME = 60
"""Seconds for which a program may keep an answer."""


class Names:
    """The names of one session with their addresses."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, IPv4Address] = OrderedDict()
        self._names: dict[IPv4Address, str] = {}
        self._next = _FIRST

    def address(self, name: str) -> IPv4Address:
        """The address of ``name``, a new one if it has none."""
        found = self._addresses.get(name)
        if found is None:
            found = self._invent()
            self._addresses[name] = found
            self._names[found] = name
            if len(self._addresses) > NAMES:
                _, dropped = self._addresses.popitem(last=False)
                del self._names[dropped]
        self._addresses.move_to_end(name)
        return found

    def name(self, address: object) -> str | None:
        """The name that ``address`` was invented for."""
        name = self._names.get(address) if isinstance(address, IPv4Address) else None
        if name is not None:
            self._addresses.move_to_end(name)
        return name

    def _invent(self) -> IPv4Address:
        # In order and around: an address means another name only after all others had their turn.
        while True:
            found = IPv4Address(self._next)
            last = self._next == int(_RANGE.broadcast_address) - 1
            self._next = _FIRST if last else self._next + 1
            if found not in self._names:
                return found
