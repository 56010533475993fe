from __future__ import annotations

from typing import Any

import pytest

from stockade.model.network import NetworkGrant
from stockade.model.profile import FileGrant
from stockade.model.spending import ModelGrant
from stockade.model.tools import ArgumentRule
from stockade.policy import covers


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        ("a.org", "a.org", True),
        ("*.a.org", "b.a.org", True),
        ("*.a.org", "*.b.a.org", True),
        ("*.a.org", "a.org", False),
        ("*.a.org", "ba.org", False),
        ("*", "*.a.org", True),
        ("*", "192.0.2.1", False),  # an address is only ever granted as itself
        ("*", "2001:db8::1", False),
        ("b.a.org", "*.a.org", False),
    ],
)
def test_hosts(wide: str, narrow: str, answer: bool) -> None:
    assert covers.host_covers(wide, narrow) is answer


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        ("pytest **", "pytest", True),
        ("pytest **", "pytest -q x", True),
        ("pytest -q **", "pytest **", False),
        ("pytest", "pytest **", False),
        ("git *", "git log", True),
        ("git *", "git log -p", False),
        ("git *", "git a/b", False),
        ("'a b' **", "a b", False),
    ],
)
def test_commands(wide: str, narrow: str, answer: bool) -> None:
    assert covers.command_covers(wide, narrow) is answer


def _net(**fields: Any) -> NetworkGrant:
    return NetworkGrant.model_validate({"host": "a.org", **fields})


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        ({}, {"port": 443}, True),
        ({}, {"port": 444}, False),
        ({}, {"protocol": "http"}, False),
        ({}, {"methods": ["HEAD"]}, True),
        ({}, {"methods": ["POST"]}, False),
        ({"paths": ["/a", "/b"]}, {"paths": ["/b"]}, True),
        ({"credential": "c"}, {}, True),
        ({}, {"credential": "c"}, False),
        ({"credential": "d"}, {"credential": "c"}, False),
    ],
)
def test_network_grants(wide: dict[str, Any], narrow: dict[str, Any], answer: bool) -> None:
    assert covers.network_covers(_net(**wide), _net(**narrow)) is answer


def test_overlap_of_network_grants_needs_all_of_it() -> None:
    one = _net(paths=["/a/**"])
    assert covers.networks_overlap(one, _net(host="*.org", paths=["/**/b"]))
    for other in ({"methods": ["POST"]}, {"port": 1}, {"paths": ["/b"]}, {"host": "b.org"}):
        assert not covers.networks_overlap(one, _net(**other))


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        ("claude-*", "claude-x/y", True),
        ("claude-*", "claude-*-1", True),
        ("claude-?", "claude-x", False),  # '?' is itself in the name of a model
        ("claude-x", "claude-*", False),
    ],
)
def test_models(wide: str, narrow: str, answer: bool) -> None:
    grants = [ModelGrant(provider="p", models=(name,)) for name in (wide, narrow)]
    assert covers.models_cover(*grants) is answer
    assert not covers.models_cover(grants[0], ModelGrant(provider="q", models=(wide,)))


def test_files() -> None:
    read, overlay = (FileGrant.parse(f"a:/a:{access}") for access in ("read", "overlay"))
    assert covers.files_cover(overlay, read)
    assert not covers.files_cover(read, overlay)
    assert not covers.files_cover(read, FileGrant.parse("b:/a"))


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        ({}, {"enum": [1]}, True),
        ({"type": "number"}, {"type": "integer"}, True),
        ({"type": "integer"}, {"type": "number"}, False),
        ({"enum": [1, "a"]}, {"enum": ["a"]}, True),
        ({"enum": [1]}, {"enum": [True]}, False),
        ({"minimum": 1, "maximum": 5}, {"minimum": 2, "maximum": 5}, True),
        ({"minimum": 1}, {"minimum": 0}, False),
        ({"maximum": 5}, {}, False),
        ({"max_length": 5}, {"max_length": 6}, False),
        ({"globs": ["/a/**"]}, {"globs": ["/a/b"]}, True),
        ({"globs": ["/a/**"]}, {}, False),
        ({"required": True}, {}, False),
    ],
)
def test_rules_of_arguments(wide: dict[str, Any], narrow: dict[str, Any], answer: bool) -> None:
    rules = [ArgumentRule.model_validate(rule) for rule in (wide, narrow)]
    assert covers.rule_covers(*rules) is answer
