from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stockade.model.network import NetworkGrant


def _grant(**fields: Any) -> NetworkGrant:
    return NetworkGrant.model_validate({"host": "a.org", **fields})


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ({}, 443),
        ({"protocol": "http"}, 80),
        ({"protocol": "ssh"}, 22),
        ({"protocol": "tcp", "port": 5432}, 5432),
        ({"port": 8443}, 8443),
    ],
)
def test_each_grant_is_for_one_port(fields: dict[str, Any], port: int) -> None:
    assert _grant(**fields).effective_port == port


@pytest.mark.parametrize("key", [{"methods": ["GET"]}, {"paths": ["/"]}, {"credential": "c"}])
@pytest.mark.parametrize("protocol", ["tcp", "ssh"])
def test_what_is_said_of_requests_cannot_hold_for_connections(
    key: dict[str, Any], protocol: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        _grant(protocol=protocol, port=1, **key)
    [error] = caught.value.errors()
    assert "cannot hold" in error["msg"]
    assert error["ctx"]["index"] in key


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": "tcp"},
        {"protocol": "udp"},
        {"port": 0},
        {"port": 65_536},
        {"port": "443"},
        {"methods": ["get"]},
        {"methods": ["G T"]},
        {"methods": ["*"]},
        {"methods": [""]},
        {"paths": []},
        {"paths": ["x"]},
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _grant(**fields)


def test_no_methods_leave_the_look_up() -> None:
    assert _grant(methods=[]).methods == ()
