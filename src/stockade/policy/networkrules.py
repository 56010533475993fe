"""Granted hosts as rules: for requests or connections, and for the look-up of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from stockade.model.errors import ProfileError
from stockade.model.network import DEFAULT_PORTS, NetworkGrant, Protocol
from stockade.model.wording import quote
from stockade.policy import cedartext as cedar
from stockade.policy.hosts import Host, clean_host
from stockade.policy.refusal import Refused
from stockade.policy.rules import Context, Lacks, Rule, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.model.profile import Profile
    from stockade.policy.facts import Facts

ANY_HOST = "*"
ANY_PATH = "/**"
_BELOW = "*."


def network_rules(profile: Profile, source: str) -> Iterator[Rule]:
    """Give the rules of each grant, under its place."""
    for index, grant in enumerate(profile.network):
        place = f"network[{index}]"
        key = host_key(grant.host, f"{source or 'profile'}: {place}.host")
        if grant.protocol in (Protocol.HTTP, Protocol.HTTPS):
            yield _requests(profile.name, place, key, grant)
        else:
            yield _connections(profile.name, place, key, grant)
        if not _is_address(key):
            yield lookup_rule(profile.name, place, key)


def lookup_rule(agent: str, place: str, key: str) -> Rule:
    """Give the rule that lets the name of a granted host be asked for."""
    resource, when, uses = host_scope(key)
    return Rule(
        id=place,
        action="lookup",
        key=key,
        cedar=cedar.rule(
            "permit", place, agent=agent, action="lookup", resource=resource, when=when
        ),
        uses=uses,
        allows=f"names may be looked up: {key}",
    )


def host_key(text: str, place: str) -> str:
    """Give a profile's host in its one spelling; ``ProfileError`` if it has none."""
    if text == ANY_HOST:
        return text
    try:
        below = text.startswith(_BELOW)
        host = clean_host(text.removeprefix(_BELOW))
    except Refused as refusal:
        raise ProfileError(f"{place}: {refusal}", hint=refusal.hint) from None
    if below and host.address:
        raise ProfileError(f"{place}: {quote(text)}: an address has no names below it")
    return _BELOW + host.text if below else host.text


def host_scope(key: str) -> tuple[str, list[str], frozenset[str]]:
    """Say in Cedar that an action's host is ``key``: resource, conditions, attributes used.

    A wildcard wants a name: an address is only ever granted as itself.
    """
    if key == ANY_HOST:
        return "", ["context has name"], frozenset({"name"})
    if key.startswith(_BELOW):
        return (
            "",
            [f"context has name && context.name like {cedar.pattern(key)}"],
            frozenset({"name"}),
        )
    return cedar.entity("Host", key), [], frozenset()


def host_keys(host: Host) -> list[str]:
    """Give every key that a profile may hold for a host, the nearest first."""
    if host.address:
        return [host.text]
    keys = [host.text]
    _, dot, rest = host.text.partition(".")
    while dot:
        keys.append(_BELOW + rest)
        _, dot, rest = rest.partition(".")
    return [*keys, ANY_HOST]


def _is_address(key: str) -> bool:
    return key != ANY_HOST and clean_host(key.removeprefix(_BELOW)).address


def _requests(agent: str, place: str, key: str, grant: NetworkGrant) -> Rule:
    resource, when, uses = host_scope(key)
    port = grant.port or DEFAULT_PORTS[grant.protocol]
    scheme = grant.protocol.value
    # Every path is below "/", so there is nothing to match.
    globs = () if ANY_PATH in grant.paths else grant.paths
    if globs:
        when = [f"context.path_globs.containsAny({cedar.texts(globs)})", *when]
        uses |= {"path_globs"}
    return Rule(
        id=place,
        action="http",
        key=key,
        cedar=cedar.rule(
            "permit",
            place,
            agent=agent,
            action="http",
            resource=resource,
            when=[
                *when,
                f"{cedar.texts(grant.methods)}.contains(context.method)",
                f"context.port == {port}",
                f"context.scheme == {cedar.literal(scheme)}",
            ],
        ),
        uses=uses | {"method", "port", "scheme"},
        allows=f"{shortened(grant.methods, 8)} {scheme}://{key}:{port} {shortened(grant.paths)}",
        lacks=_request_lacks(grant, port),
        globs=globs,
    )


def _request_lacks(grant: NetworkGrant, port: int) -> Lacks:
    def lacks(facts: Facts, context: Context) -> list[str]:
        found = []
        if facts.context["scheme"] != grant.protocol.value:
            found.append(f"only {grant.protocol.value} is granted")
        if facts.context["port"] != port:
            found.append(f"only port {port} is granted")
        if facts.context["method"] not in grant.methods:
            found.append(f"only {shortened(grant.methods, 8) or 'no method'} is granted")
        matched = cast("list[str]", context["path_globs"])
        if ANY_PATH not in grant.paths and not set(grant.paths) & set(matched):
            found.append(f"only {shortened(grant.paths)} is granted")
        return found

    return lacks


def _connections(agent: str, place: str, key: str, grant: NetworkGrant) -> Rule:
    resource, when, uses = host_scope(key)
    port = grant.port or DEFAULT_PORTS.get(grant.protocol)
    if port is None:
        raise ProfileError(f"{place}.port: {grant.protocol.value} has no port of its own")
    protocol = grant.protocol.value

    def lacks(facts: Facts, _context: Context) -> list[str]:
        found = []
        if facts.context["protocol"] != protocol:
            found.append(f"only {protocol} is granted")
        if facts.context["port"] != port:
            found.append(f"only port {port} is granted")
        return found

    return Rule(
        id=place,
        action="connect",
        key=key,
        cedar=cedar.rule(
            "permit",
            place,
            agent=agent,
            action="connect",
            resource=resource,
            when=[
                f"context.port == {port}",
                f"context.protocol == {cedar.literal(protocol)}",
                *when,
            ],
        ),
        uses=uses | {"port", "protocol"},
        allows=f"{protocol} {key}:{port}",
        lacks=lacks,
    )
