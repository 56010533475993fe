"""What the courier is told about a request before it carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv6Address

    from stockade.egress.credentials.secret import Secret
    from stockade.model.credentials import Credential


@dataclass(frozen=True, slots=True)
class Order:
    """What the proxy in front says of a request that was allowed; none of it is the machine's word.

    ``session`` and ``host`` are what the door said when it opened the connection, ``scheme`` is how
    it is spoken, ``address`` (ADDRESS:PORT) the vetted one, and ``rule`` the grant that allows it.
    """

    session: str
    host: str
    scheme: str
    address: str
    rule: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A credential that a request is given: its name in the profile, its place and its secret."""

    name: str
    credential: Credential
    secret: Secret


@dataclass(frozen=True, slots=True)
class Errand:
    """Where a request goes and what it is given.

    ``host`` is the name as granted, in small letters, for ``Host``, SNI and the certificate; only
    ``addresses``, which were vetted, are connected to. ``delivery`` is there if and only if a grant
    with that credential covers host and path of this request. ``provider`` names a provider of
    language models if the request is for one.
    """

    session: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    addresses: Sequence[IPv4Address | IPv6Address]
    delivery: Delivery | None = None
    provider: str | None = None


class Lookup(Protocol):
    """Finds the errand of a request."""

    async def __call__(self, order: Order) -> Errand | None:
        """The errand, or None for what is not to be carried.

        CredentialError if its secret cannot be had.
        """
        ...
