"""How a host may be spoken to at all, so that a door knows what to expect of a connection.

This decides nothing: the door asks the gate about each connection, or about each request in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.model.network import DEFAULT_PORTS, Protocol
from stockade.policy.hosts import clean_host
from stockade.policy.networkrules import host_key, host_keys
from stockade.policy.refusal import Refused

if TYPE_CHECKING:
    from stockade.model.profile import Profile

_HTTPS_PORT = DEFAULT_PORTS[Protocol.HTTPS]
_USUAL = {DEFAULT_PORTS[protocol]: {protocol} for protocol in (Protocol.HTTP, Protocol.HTTPS)}


class Reach:
    """The network grants of a profile, and its providers of models, by host and port.

    Where all is let go ahead and only recorded, hosts that are not granted are spoken to as their
    port suggests, so that the record has requests in it.
    """

    def __init__(self, profile: Profile, *, enforce: bool = True) -> None:
        self._enforce = enforce
        self._protocols: dict[tuple[str, int], set[Protocol]] = {}
        self._hosts: set[str] = set()
        for index, grant in enumerate(profile.network):
            key = host_key(grant.host, f"network[{index}].host")
            port = grant.port or DEFAULT_PORTS[grant.protocol]
            self._hosts.add(key)
            self._protocols.setdefault((key, port), set()).add(grant.protocol)
        for model in profile.models:
            if host := model.effective_host:
                self._protocols.setdefault((host, _HTTPS_PORT), set()).add(Protocol.HTTPS)

    def name(self, host: str) -> bool:
        """Whether a grant has this very host written out, in whatever spelling; total."""
        try:
            return clean_host(host).text in self._hosts
        except Refused:
            return False

    def protocols(self, host: str, port: int) -> frozenset[Protocol]:
        """How ``host``, in whatever spelling, may be spoken to at ``port``; total."""
        try:
            keys = host_keys(clean_host(host))
        except Refused:
            return frozenset()
        found = frozenset[Protocol]().union(*(self._protocols.get((key, port), ()) for key in keys))
        if not found and not self._enforce:
            return frozenset(_USUAL.get(port, ()))
        return found
