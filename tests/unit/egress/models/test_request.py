"""A request says one thing, or is not passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.courier.problems import Undeliverable
from stockade.egress.models.operations import Operation
from stockade.egress.models.request import read_request

_FIELDS = [(b"content-type", b"application/json")]


def _read(body: object, operation: Operation = Operation.CHAT) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(operation, _FIELDS, raw)


def test_what_is_not_a_stream_goes_on_as_it_came() -> None:
    raw = b'{"model" : "m", "temperature":1.10, "x":"\\u00e9"}'
    request = _read(raw)
    assert (request.model, request.stream, request.body, request.hide_usage) == (
        "m",
        False,
        raw,
        False,
    )


@pytest.mark.parametrize(
    ("options", "sent", "hidden"),
    [
        (None, {"include_usage": True}, True),
        ({}, {"include_usage": True}, True),
        ({"include_usage": False}, {"include_usage": True}, True),
        ({"include_usage": True}, {"include_usage": True}, False),
        ({"a": 1}, {"a": 1, "include_usage": True}, True),
    ],
)
def test_a_stream_is_made_to_tell_its_usage(options: Any, sent: Any, hidden: bool) -> None:
    request = _read({"model": "m", "stream": True, "stream_options": options})
    assert json.loads(request.body)["stream_options"] == sent
    assert request.hide_usage is hidden


def test_other_streams_tell_it_by_themselves() -> None:
    request = _read({"model": "m", "stream": True}, Operation.MESSAGES)
    assert json.loads(request.body) == {"model": "m", "stream": True}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"model": "a", "model": "b"}', "a name occurs twice"),
        (b'{"model": "a", "m": [{"x": 1, "x": 2}]}', "a name occurs twice"),
        (b'{"model": "a", "x": NaN}', "not JSON"),
        (b'\xef\xbb\xbf{"model": "a"}', "not JSON"),
        (b'{"model": "a\xff"}', "UTF-8"),
        (b"[" * 200_000, "nested too deeply|not JSON"),
        (b'["model"]', "not an object"),
        (b'{"model": "a", "x": ' + b"9" * 5000 + b"}", "not JSON"),
        ({"messages": []}, "'model' must be"),
        ({"model": ["a"]}, "'model' must be"),
        ({"model": "a" * 257}, "'model' must be"),
        ({"model": "a\nb"}, "'model' must be"),
        ({"model": "a", "stream": 1}, "'stream' must be"),
        ({"model": "a", "models": ["b"]}, "'models' names models"),
        ({"model": "a", "background": True}, "background"),
        ({"model": "a", "stream": True, "stream_options": 1}, "'stream_options' must be"),
        (b'{"model": "a", "stream": true, "x": 1e999}', "too large"),
    ],
)
def test_two_meanings_are_refused(body: object, problem: str) -> None:
    with pytest.raises(Undeliverable, match=problem) as refused:
        _read(body)
    assert refused.value.status == 400


def test_other_kinds_of_bodies_are_refused() -> None:
    for fields in (
        [],
        [(b"content-type", b"text/plain")],
        [*_FIELDS, (b"content-encoding", b"br")],
    ):
        with pytest.raises(Undeliverable):
            read_request(Operation.CHAT, fields, b'{"model": "a"}')


@given(st.binary(max_size=300))
def test_anything_else_is_refused_and_nothing_more(body: bytes) -> None:
    with pytest.raises(Undeliverable):
        _read(body)
