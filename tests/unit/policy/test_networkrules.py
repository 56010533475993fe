from __future__ import annotations

import pytest

from stockade.model.errors import ProfileError
from stockade.model.profile import Profile
from stockade.policy.hosts import Host
from stockade.policy.networkrules import host_key, host_keys, host_scope, network_rules


def _rules(**grant: object) -> list[tuple[str, str, str]]:
    profile = Profile.model_validate({"network": [grant]})
    return [(rule.id, rule.action, rule.key) for rule in network_rules(profile, "")]


def test_a_grant_is_a_rule_for_requests_and_one_for_looking_up() -> None:
    assert _rules(host="A.example") == [
        ("network[0]", "http", "a.example"),
        ("network[0]", "lookup", "a.example"),
    ]
    assert _rules(host="*.a.example", protocol="ssh") == [
        ("network[0]", "connect", "*.a.example"),
        ("network[0]", "lookup", "*.a.example"),
    ]


def test_an_address_is_not_looked_up() -> None:
    assert _rules(host="192.0.2.1") == [("network[0]", "http", "192.0.2.1")]
    assert _rules(host="::1", protocol="tcp", port=1) == [("network[0]", "connect", "::1")]


def test_every_pattern_for_a_host_is_known_the_nearest_first() -> None:
    assert host_keys(Host("a.b.c")) == ["a.b.c", "*.b.c", "*.c", "*"]
    assert host_keys(Host("192.0.2.1", address=True)) == ["192.0.2.1"]


def test_a_wildcard_wants_a_name() -> None:
    assert host_scope("*.b.c")[1] == ['context has name && context.name like "*.b.c"']
    assert host_scope("*")[1] == ["context has name"]
    assert host_scope("b.c") == ('Host::"b.c"', [], frozenset())


@pytest.mark.parametrize("host", ["127.1", "*.192.0.2.1", "a b", "*.", "::ffff:1.2.3.4"])
def test_a_host_without_one_spelling_is_an_error(host: str) -> None:
    with pytest.raises(ProfileError, match=r"^p.yaml: network\[0\].host: "):
        host_key(host, "p.yaml: network[0].host")
