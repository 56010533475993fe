"""Prices to the cent, and never a silent nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.models.meter import Meter
from stockade.egress.models.operations import Operation
from stockade.egress.models.pricing import settle_up
from stockade.model.usage import Usage


def _usage(usage: Any, *, provider: str = "openai", model: str = "gpt-4o-mini") -> Usage:
    operation = Operation.MESSAGES if provider == "anthropic" else Operation.CHAT
    meter = Meter(operation)
    meter.document(json.dumps({"usage": usage}).encode())
    return settle_up(provider, model, operation, meter, complete=True)


_COUNTS = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}


def test_a_million_tokens_each_way() -> None:
    assert _usage(_COUNTS).usd == Decimal("0.75")
    assert _usage(
        {**_COUNTS, "prompt_tokens_details": {"cached_tokens": 1_000_000}}
    ).usd == Decimal("0.675")


def test_the_model_that_served_sets_the_price() -> None:
    told = Meter(Operation.CHAT)
    told.document(json.dumps({"model": "gpt-4o-mini", "usage": _COUNTS}).encode())
    assert settle_up("openai", "gpt-4o", Operation.CHAT, told, complete=True).usd == Decimal("0.75")
    told.served = "no-such-model"
    usd = settle_up("openai", "gpt-4o-mini", Operation.CHAT, told, complete=True).usd
    assert usd == Decimal("0.75")


def test_an_unknown_price_is_said_to_be_unknown() -> None:
    for usage in (_usage(_COUNTS, model="mine"), _usage(_COUNTS, provider="mine", model="m")):
        assert (usage.usd, usage.priced, usage.measured) == (None, False, True)
        assert usage.note == "the price is not known"
        assert usage.input == 1_000_000


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {
            "prompt_tokens": 10,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 11},
        },
        {"prompt_tokens": 10**10, "completion_tokens": 1},
    ],
)
def test_what_cannot_be_believed_is_not_measured(usage: Any) -> None:
    got = _usage(usage)
    assert (got.measured, got.usd, got.input) == (False, None, 0)
    assert got.note


def test_counts_that_add_up_to_too_much() -> None:
    many = 10**9
    usage = {"input_tokens": many, "cache_read_input_tokens": many, "output_tokens": 1}
    assert not _usage(usage, provider="anthropic", model="claude-sonnet-4-5").measured


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "input_tokens",
                "output_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
                "cache_creation",
                "output_tokens_details",
                "server_tool_use",
            ]
        ),
        st.integers(-2, 10**10) | st.none() | st.dictionaries(st.text(max_size=3), st.integers()),
    )
)
def test_there_is_always_a_usage(usage: Any) -> None:
    got = _usage(usage, provider="anthropic", model="claude-sonnet-4-5")
    assert got.priced <= got.measured
    assert got.usd is None or got.usd >= 0
