from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.wording import did_you_mean, place, quote


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("no", "'no'"),
        ("two\nlines", r"'two\nlines'"),
        (7, "7"),
        (1.5, "1.5"),
        (None, "nothing"),
        (True, "true"),
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ((1,), "a list"),
        (b"x", "bytes"),
    ],
)
def test_values_are_quoted(value: object, text: str) -> None:
    assert quote(value) == text


def test_huge_values_are_quoted_in_part() -> None:
    assert quote("x" * 1_000_000) == repr("x" * 40 + "...")
    assert quote(10**5000) == "a number of more than 70 digits"


@given(st.text() | st.integers() | st.floats() | st.binary())
def test_a_quotation_is_one_short_line_that_any_terminal_can_show(value: object) -> None:
    text = quote(value)
    assert text.isprintable()
    assert len(text) < 500


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("filez", "; did you mean 'files'?"),
        ("LIMITS", "; did you mean 'limits'?"),
        ("zebra", ""),
    ],
)
def test_the_nearest_name_is_offered(word: str, answer: str) -> None:
    assert did_you_mean(word, ["files", "limits"]) == answer


def test_a_huge_name_costs_no_time() -> None:
    assert did_you_mean("f" * 10_000_000, ["files", "limits"]) == ""


def test_places_read_like_the_document() -> None:
    assert place(()) == ""
    assert place(("files", 0, "guest")) == "files[0].guest"
    assert place(("env", "A B", "[key]")) == "env.A B"
    assert len(place(("x" * 1000,))) < 130
