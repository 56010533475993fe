from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.tools import ArgumentType
from stockade.policy.arguments import wrong_with
from stockade.policy.learnedargument import MAX_EXACT, learned_rule

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=3,
)


@given(st.lists(_VALUES, min_size=1, max_size=5), st.booleans())
def test_every_value_fits_the_rule_learned_from_it(values: list[object], always: bool) -> None:
    rule = learned_rule(values, always=always)
    if rule is not None:
        assert [wrong_with(rule, value) for value in values] == [""] * len(values)
        assert rule.required is always


@pytest.mark.parametrize(
    ("values", "field", "bound"),
    [
        ([1, 1, 2], "enum", (1, 2)),
        ([True, 1], "enum", (True, 1)),
        (["x" * (MAX_EXACT + 1)], "max_length", MAX_EXACT + 1),
        ([[1], [1, 2]], "max_length", 2),
        ([{}], "type", ArgumentType.OBJECT),
        ([10**30, 0.5], "type", ArgumentType.NUMBER),
    ],
)
def test_the_narrowest_rule_is_found(values: list[object], field: str, bound: object) -> None:
    rule = learned_rule(values, always=True)
    assert rule is not None
    assert getattr(rule, field) == bound


def test_what_no_rule_fits_has_none() -> None:
    assert learned_rule([None, [1]], always=False) is None
