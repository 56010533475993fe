from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.network import Protocol
from stockade.model.profile import Profile
from stockade.policy.reach import Reach

REACH = Reach(
    Profile.model_validate(
        {
            "network": [
                {"host": "api.example.com"},
                {"host": "api.example.com", "protocol": "http", "port": 443},
                {"host": "*.example.org", "protocol": "ssh"},
                {"host": "192.0.2.7", "protocol": "tcp", "port": 5432},
            ],
            "models": [{"provider": "anthropic", "models": ["*"]}],
        }
    )
)


@pytest.mark.parametrize(
    ("host", "port", "protocols"),
    [
        ("api.example.com", 443, {Protocol.HTTPS, Protocol.HTTP}),
        ("API.Example.COM.", 443, {Protocol.HTTPS, Protocol.HTTP}),
        ("api.example.com", 80, set()),
        ("example.com", 443, set()),
        ("git.example.org", 22, {Protocol.SSH}),
        ("example.org", 22, set()),
        ("192.0.2.7", 5432, {Protocol.TCP}),
        ("192.0.2.8", 5432, set()),
        ("0xc0.0.2.7", 5432, set()),
        ("api.anthropic.com", 443, {Protocol.HTTPS}),
        ("api.openai.com", 443, set()),
    ],
)
def test_what_is_granted_for_a_host_and_port(
    host: str, port: int, protocols: set[Protocol]
) -> None:
    assert REACH.protocols(host, port) == protocols


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("api.example.com", True),
        ("API.Example.COM.", True),
        ("192.0.2.7", True),
        ("git.example.org", False),
        ("192.0.2.8", False),
        ("0xc0.0.2.7", False),
    ],
)
def test_what_a_grant_has_written_out(host: str, named: bool) -> None:
    assert REACH.name(host) is named


@given(st.text(max_size=300), st.integers(0, 65_535))
def test_any_text_has_an_answer(host: str, port: int) -> None:
    assert isinstance(REACH.protocols(host, port), frozenset)
    assert isinstance(REACH.name(host), bool)


def test_an_audit_looks_into_what_the_port_says_are_requests() -> None:
    reach = Reach(Profile(), enforce=False)
    assert reach.protocols("a.example", 443) == {Protocol.HTTPS}
    assert reach.protocols("a.example", 80) == {Protocol.HTTP}
    assert reach.protocols("a.example", 22) == frozenset()
