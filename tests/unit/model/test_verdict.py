from __future__ import annotations

import pytest

from stockade.model.verdict import Effect, Verdict


@pytest.mark.parametrize("effect", list(Effect))
def test_only_allow_lets_an_action_go_ahead(effect: Effect) -> None:
    verdict = Verdict(effect=effect, rule="default", reason="no rule grants it")
    assert verdict.allowed is (effect is Effect.ALLOW)
