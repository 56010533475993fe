from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stockade.policy.globs import matches
from stockade.policy.needed import MAX_COMPARED, needed

_TEXTS = st.text("ab*", max_size=3)


@given(st.lists(_TEXTS, max_size=8), st.sets(st.sampled_from("ab*")))
def test_all_is_still_fitted_and_each_pattern_is_needed(texts: list[str], wild: set[str]) -> None:
    patterns: dict[str, set[str]] = {}
    for text in texts:
        pattern = "".join("?" if c in wild | {"*"} else c for c in text)
        patterns.setdefault(pattern, set()).add(text)
    kept = needed(patterns, matches)
    assert all(any(matches(pattern, text) for pattern in kept) for text in texts)
    for pattern in kept:
        others = set(kept) - {pattern}
        assert not all(any(matches(other, text) for other in others) for text in texts)


def test_two_that_fit_the_same_do_not_go_both() -> None:
    kept = needed({"*a": {"a"}, "?": {"a"}, "a": {"a"}}, matches)
    assert list(kept) == ["?"]


def test_more_than_can_be_compared_are_all_kept() -> None:
    many = {f"/{number}": {f"/{number}"} for number in range(MAX_COMPARED)} | {"/?": {"/*"}}
    assert needed(many, matches) == many
