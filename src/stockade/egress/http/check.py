"""What is asked about each HTTP request, and what may be answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


@dataclass(frozen=True)
class HttpCheck:
    """One request, as Envoy has parsed it.

    ``session``, ``destination``, ``port`` and ``host`` are what the door said when it opened the
    connection; ``scheme`` is whether TLS was spoken on it. ``path`` (as sent, without the query),
    ``query`` and ``method`` are the guest's words. ``host`` has been compared with the request's
    own host name and the TLS server name. ``upgrade`` is a WebSocket's opening request.
    """

    session: IPv6Address
    destination: IPv4Address
    port: int
    scheme: Literal["http", "https"]
    host: str
    method: str
    path: str
    query: str
    upgrade: bool = False


@dataclass(frozen=True)
class Direct:
    """Allowed: Envoy connects to this address, which has been vetted."""

    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True)
class Courier:
    """Allowed, but for the courier to carry; ``rule`` tells it which grant's credential to use."""

    rule: str
    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True)
class Refusal:
    """Not allowed; all texts are shown to the guest. 429 is for limits, 421 for a wrong host."""

    rule: str
    reason: str
    hint: str = ""
    how_to_ask: str = ""
    status: Literal[400, 403, 421, 429] = 403


HttpAnswer = Direct | Courier | Refusal
Judge = Callable[[HttpCheck], Awaitable[HttpAnswer]]
