"""What a call used is bounded and cannot be changed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from stockade.model.usage import Usage


def test_a_price_is_known_or_not() -> None:
    assert Usage(provider="p", model="m", usd=Decimal(0)).priced
    assert not Usage(provider="p", model="m").priced


@pytest.mark.parametrize(
    "values", [{"input": -1}, {"output": 10**9 + 1}, {"input": 1.5}, {"usd": Decimal(-1)}]
)
def test_what_cannot_be(values: Any) -> None:
    with pytest.raises(ValidationError):
        Usage(provider="p", model="m", **values)


def test_it_is_frozen() -> None:
    usage = Usage(provider="p", model="m")
    with pytest.raises(ValidationError):
        usage.input = 5
