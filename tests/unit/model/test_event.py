from __future__ import annotations

from stockade.model.action import Lookup
from stockade.model.event import Decision
from stockade.model.verdict import Effect, Verdict


def test_a_decision_can_be_written_and_read() -> None:
    decision = Decision(
        session="s1",
        time=1.5,
        action=Lookup(host="a.example"),
        verdict=Verdict(effect=Effect.DENY, rule="default", reason="no rule grants it"),
        enforced=False,
    )
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
