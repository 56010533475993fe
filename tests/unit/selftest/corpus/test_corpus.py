from __future__ import annotations

import inspect
from collections import Counter

import pytest

from stockade.selftest import program
from stockade.selftest.corpus import ATTEMPTS, CATEGORIES, CONTROLS
from stockade.selftest.corpus.attempt import Attempt


def test_there_are_enough_of_all_kinds() -> None:
    assert len(ATTEMPTS) >= 150
    assert len(ATTEMPTS) + len(CONTROLS) < 1000  # marks have three digits
    assert len(CATEGORIES) >= 20


def test_each_has_a_name_of_its_own() -> None:
    names = Counter((one.category, one.name) for one in ATTEMPTS)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    "one", [*CONTROLS, *ATTEMPTS], ids=lambda one: f"{one.category}-{one.name}"
)
def test_each_can_be_made(one: Attempt) -> None:
    how = getattr(program, one.how)
    inspect.signature(how).bind(**one.arguments)
    assert "{mark}" not in repr(one.marked("tag007"))
