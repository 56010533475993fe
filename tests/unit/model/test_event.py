from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from stockade.model.action import Lookup
from stockade.model.event import EVENT, Decision, Spending
from stockade.model.usage import Usage
from stockade.model.verdict import Effect, Verdict


def test_a_decision_can_be_written_and_read() -> None:
    decision = Decision(
        session="s1",
        time=1.5,
        action=Lookup(host="a.example"),
        verdict=Verdict(effect=Effect.DENY, rule="default", reason="no rule grants it"),
        enforced=False,
    )
    assert EVENT.validate_json(decision.model_dump_json()) == decision


def test_a_price_is_written_and_read_to_its_last_digit() -> None:
    usage = Usage(provider="openai", model="gpt-4o", input=7, usd=Decimal("0.0000001050"))
    spending = Spending(session="s1", time=1.5, usage=usage)
    read = EVENT.validate_json(spending.model_dump_json())
    assert read == spending
    assert isinstance(read, Spending)
    assert str(read.usage.usd) == str(usage.usd)


@pytest.mark.parametrize("text", ['{"kind":"other"}', "{}", "[]", '{"kind":"spending"}'])
def test_what_is_no_event_is_an_error(text: str) -> None:
    with pytest.raises(ValidationError):
        EVENT.validate_json(text)
