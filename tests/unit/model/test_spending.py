from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stockade.model.spending import Budget, ModelGrant


@pytest.mark.parametrize("usd", [1, 0.01, 1_000_000])
def test_dollars(usd: float) -> None:
    assert Budget.model_validate({"usd": usd}).usd == usd


@pytest.mark.parametrize(
    "fields",
    [
        {"usd": 0},
        {"usd": -1},
        {"usd": True},
        {"usd": "2"},
        {"usd": float("nan")},
        {"usd": float("inf")},
        {"tokens": 1.0},
        {"tokens": 0},
        {"requests_per_minute": 0},
        {"eur": 1},
    ],
)
def test_budgets_that_cannot_be_meant(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"provider": "Anthropic", "models": ["m"]},
        {"provider": "a/b", "models": ["m"]},
        {"provider": "*", "models": ["m"]},
        {"provider": "a", "models": []},
        {"provider": "a", "models": ["m n"]},
        {"provider": "a", "models": ["m\n"]},
        {"provider": "a"},
    ],
)
def test_models_that_cannot_be_meant(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelGrant.model_validate(fields)


@pytest.mark.parametrize(
    ("provider", "host", "expected"),
    [
        ("openai", None, "api.openai.com"),
        ("anthropic", None, "api.anthropic.com"),
        ("openai", "llm.internal", "llm.internal"),
        ("mine", None, None),
    ],
)
def test_where_a_provider_is_reached(provider: str, host: str | None, expected: str | None) -> None:
    assert ModelGrant(provider=provider, models=("*",), host=host).effective_host == expected


@pytest.mark.parametrize("host", ["", "https://x", "A.test", "a/b", "*.test", "-a"])
def test_a_host_is_a_name(host: str) -> None:
    with pytest.raises(ValidationError):
        ModelGrant(provider="mine", models=("*",), host=host)
