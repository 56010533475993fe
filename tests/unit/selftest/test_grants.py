from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest

from stockade.policy.document import parse_profile
from stockade.selftest.grants import PROFILE, WIDENING, breaches

_SECRET = "the-secret"


def _request(path: str = "/public/tag007", **more: Any) -> dict[str, Any]:
    host = more.pop("host", "api.example.com")
    headers = {"host": host, **more.pop("headers", {})}
    return {
        "kind": "request",
        "host": host,
        "method": "GET",
        "path": path,
        "headers": headers,
    } | more


@pytest.mark.parametrize("extra", [[], WIDENING])
def test_the_profile_is_one(extra: list[dict[str, Any]]) -> None:
    text = json.dumps({**PROFILE, "network": PROFILE["network"] + extra})
    parse_profile(text, source="selftest", base=PurePath("/x"))


@pytest.mark.parametrize(
    "one",
    [
        _request(),
        _request("/given/a", method="POST", headers={"authorization": f"Bearer {_SECRET}"}),
        {"kind": "packet", "protocol": 6, "host": "93.184.216.34", "port": 443},
        {"kind": "packet", "protocol": 17, "host": "127.0.0.1", "port": 53},
        {"kind": "question", "host": "api.example.com"},
        {"kind": "connection", "host": "db.example.com", "port": 5432},
    ],
)
def test_what_is_granted_may_be_seen(one: dict[str, Any]) -> None:
    assert list(breaches([one], _SECRET)) == []


@pytest.mark.parametrize(
    "one",
    [
        _request(host="evil.example.net"),
        _request(method="DELETE"),
        _request("/private"),
        _request("/public/%2e%2e/private"),
        _request("/public/..%c0%afprivate"),
        _request(headers={"host": "evil.example.net"}),
        _request(query=_SECRET),
        _request("/given/a", method="POST", headers={"authorization": "Bearer own"}),
        {"kind": "packet", "protocol": 6, "host": "93.184.216.66", "port": 443},
        {"kind": "packet", "protocol": 17, "host": "93.184.216.34", "port": 443},
        {"kind": "question", "host": "data.evil.example.net"},
        {"kind": "connection", "host": "10.0.0.5", "port": 80},
        {"kind": "bytes", "host": "naive.example.com", "text": "GET /private HTTP/1.1\r\n\r\n"},
    ],
)
def test_anything_else_is_a_breach(one: dict[str, Any]) -> None:
    assert list(breaches([one], _SECRET))


def test_a_breach_is_known_by_its_mark() -> None:
    [breach] = breaches([_request("/private/TAG007")], _SECRET)
    assert breach.mark == "tag007"
