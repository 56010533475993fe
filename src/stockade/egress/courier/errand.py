"""What the courier is told about a request before it carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv6Address

    from stockade.egress.credentials.secret import Secret
    from stockade.model.credentials import Credential

SESSION_HEADER = b"x-stockade-session"
DESTINATION_HEADER = b"x-stockade-destination"
"""The fields by which the proxy in front says whose request it is and where it goes. It removes
what a machine sent under these names; a request with two of either is refused."""


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

    async def __call__(
        self, session: str, destination: str, method: str, path: str
    ) -> Errand | None:
        """The errand, or None for what is not to be carried.

        ``session`` and ``destination`` are what the proxy in front said; ``path`` is the target's
        path as sent, without the query. CredentialError if its secret cannot be had.
        """
        ...
