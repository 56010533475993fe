from __future__ import annotations

import dataclasses

import pytest

from stockade.model.limits import Limits
from stockade.model.outcome import ExecResult, Limit, Outcome, Usage


def test_each_limit_that_ends_a_command_is_a_key_of_the_profile() -> None:
    assert {limit.value for limit in Limit} == set(Limits.model_fields) - {"cpus"}


def test_a_result_gives_its_code_and_text() -> None:
    outcome = Outcome(code=3, signal=None, limit=None, reason="", usage=Usage())
    result = ExecResult(outcome, stdout=b"caf\xc3\xa9 \xff", stderr=b"")
    assert result.code == 3
    assert result.text == "café \ufffd"


def test_outcomes_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Usage().wall = 1.0  # type: ignore[misc]
