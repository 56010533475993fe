from __future__ import annotations

import os

import pytest

from stockade.model.errors import StockadeError
from stockade.selftest.egress import Report, Result, check_host

_HELD = Result("a", "b", (), "", 0.1)


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StockadeError, match="takes root"):
        check_host()


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StockadeError, match="needs the program unshare"):
        check_host()


@pytest.mark.parametrize(
    ("report", "contained"),
    [
        (Report([_HELD], {"c": True}, [], [], 1), True),
        (Report([_HELD], {"c": False}, [], [], 1), False),
        (Report([_HELD], {"c": True}, ["a packet"], [], 1), False),
        (Report([_HELD], {"c": True}, [], ["a: b"], 1), False),
        (Report([Result("a", "b", ("x",), "", 0.1)], {"c": True}, [], [], 1), False),
    ],
)
def test_anything_amiss_is_a_failure(report: Report, contained: bool) -> None:
    assert report.contained is contained
