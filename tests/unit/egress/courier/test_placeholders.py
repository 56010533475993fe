"""Only the one field gets the secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.egress.rig import KEY

from stockade.egress.courier.placeholders import FORM, JSON, fill, placeholder
from stockade.egress.courier.problems import Undeliverable

MARK = placeholder("key")


def _fill(body: bytes, media: bytes = JSON) -> bytes:
    return fill(body, media, field="t", name="key", secret=KEY)


def test_json() -> None:
    assert json.loads(_fill(json.dumps({"a": [1], "t": MARK}).encode())) == {"a": [1], "t": KEY}


@pytest.mark.parametrize(
    "document",
    [
        {"t": f"my {MARK}"},
        {"note": MARK},
        {"a": {"t": MARK}},
        {"t": [MARK]},
        {"t": "{{stockade:other}}"},
    ],
)
def test_elsewhere_it_stays_a_placeholder(document: dict[str, object]) -> None:
    body = json.dumps(document).encode()
    assert _fill(body) == body


@pytest.mark.parametrize(
    "body", [b'{"t": "%s", "t": 1}', b'["%s"]', b'{"t": "%s"', b'{"t": "%s", "n": NaN}']
)
def test_json_with_two_meanings_is_refused(body: bytes) -> None:
    with pytest.raises(Undeliverable, match="not plain JSON"):
        _fill(body.replace(b"%s", MARK.encode()))


def test_a_form() -> None:
    assert _fill(f"a=1&t={MARK}&b".encode(), FORM).startswith(b"a=1&t=sk-Test")
    assert _fill(b"a=1&" * 3, FORM) == b"a=1&" * 3
    with pytest.raises(Undeliverable, match="more than 1000 fields"):
        _fill(b"&" * 1001, FORM)


@given(st.binary(max_size=200))
def test_anything_else_is_left_alone(body: bytes) -> None:
    assert _fill(body) == body
    assert _fill(body, FORM) == body
