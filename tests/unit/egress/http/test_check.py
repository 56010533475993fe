"""Questions and answers are values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address, IPv6Address

import pytest

from stockade.egress.http.check import Direct, HttpCheck, Refusal


def test_a_question_cannot_be_changed_by_who_answers_it() -> None:
    check = HttpCheck(
        session=IPv6Address("fd00::1"),
        destination=IPv4Address("198.18.0.1"),
        port=443,
        scheme="https",
        host="a.test",
        method="GET",
        path="/",
        query="",
    )
    with pytest.raises(FrozenInstanceError):
        check.host = "b.test"  # type: ignore[misc]


def test_a_refusal_is_a_403_unless_it_says_otherwise() -> None:
    assert Refusal("network[0]", "no").status == 403
    assert Direct(IPv4Address("192.0.2.1"), 443) != Direct(IPv4Address("192.0.2.1"), 80)
