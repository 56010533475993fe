"""What an answer tells is believed within reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.models.meter import Meter, Part
from stockade.egress.models.operations import Operation

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def _event(document: object) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


@pytest.mark.parametrize("value", [-1, 10**9 + 1, 10**400, 1.5, True, float("inf")])
@pytest.mark.parametrize("nested", [False, True])
def test_absurd_counts_are_not_believed(value: Any, nested: bool) -> None:
    usage = {"details": {"n": value}} if nested else {"n": value}
    meter = Meter(Operation.CHAT)
    meter.document(json.dumps({"model": "m", "usage": {"ok": 1, **usage}}).encode())
    assert meter.absurd
    assert meter.usage is None


def test_what_is_no_count_is_left_out() -> None:
    meter = Meter(Operation.MESSAGES)
    usage = {"a": 1, "b": None, "c": "x", "service_tier": "priority", "d": {"e": 2, "f": {}}}
    meter.document(json.dumps({"model": "m", "usage": usage}).encode())
    assert meter.usage == {"a": 1, "d": {"e": 2}}
    assert (meter.served, meter.tier, meter.absurd) == ("m", "priority", False)


def test_a_stream_of_chat() -> None:
    meter = Meter(Operation.CHAT)
    assert meter.event(_event({"choices": [{}], "usage": None, "model": "m"})) is Part.CONTENT
    assert meter.event(_event({"choices": [{}], "usage": {"n": 1}})) is Part.CONTENT
    assert meter.event(_event({"choices": [], "usage": {"n": 2}})) is Part.USAGE
    assert meter.event(b"data: [DONE]\n\n") is Part.LAST
    assert (meter.usage, meter.served) == ({"n": 2}, "m")


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_a_stream_of_responses(kind: str) -> None:
    meter = Meter(Operation.RESPONSES)
    response = {"model": "m", "usage": {"n": 1}}
    assert meter.event(_event({"type": "response.created", "response": {}})) is Part.CONTENT
    assert meter.event(_event({"type": f"response.{kind}", "response": response})) is Part.LAST
    assert meter.usage == {"n": 1}


def test_a_stream_of_messages() -> None:
    meter = Meter(Operation.MESSAGES)
    message = {"model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}
    assert meter.event(_event({"type": "message_start", "message": message})) is Part.CONTENT
    delta = {"type": "message_delta", "usage": {"input_tokens": None, "output_tokens": 9}}
    assert meter.event(_event(delta)) is Part.CONTENT
    assert meter.event(_event({"type": "message_stop"})) is Part.LAST
    assert meter.usage == {"input_tokens": 5, "output_tokens": 9}


@given(st.sampled_from(Operation), st.binary(max_size=200) | _JSON)
def test_nothing_that_is_said_is_an_error(operation: Operation, said: Any) -> None:
    meter = Meter(operation)
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    meter.document(raw)
    meter.event(b"data: " + raw)
    usage = json.dumps({"type": "message_delta", "usage": None if raw is said else said})
    meter.event(b"data: " + usage.encode())
    assert meter.usage is None or isinstance(meter.usage, dict)
