"""JSON with one meaning, or none."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.strictjson import MalformedError, parse_object


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_objects_are_read(document: dict[str, object]) -> None:
    assert parse_object(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": 1, "\\u0061": 2}', "a name occurs twice in one object"),
        (b'{"a": [{"b": 1, "b": 1}]}', "a name occurs twice in one object"),
        (b'{"a": -Infinity}', "NaN and Infinity are not JSON"),
        (b"[]", "it is not an object"),
        (b"secret", "it is not JSON in UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "it is not JSON in UTF-8"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_refused_is_not_quoted(text: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as refused:
        parse_object(text)
    assert str(refused.value) == reason


@given(st.binary())
def test_hostile_bytes_are_refused_and_nothing_more(text: bytes) -> None:
    with suppress(MalformedError):
        parse_object(text)
