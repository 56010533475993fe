from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.tools import ArgumentRule
from stockade.policy.arguments import check_values, wrong_with
from stockade.policy.refusal import Refused


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({}, None),
        ({"type": "string"}, ""),
        ({"type": "integer"}, 5),
        ({"type": "number"}, 5),
        ({"type": "number"}, 5.5),
        ({"type": "boolean"}, False),
        ({"type": "array"}, []),
        ({"type": "object"}, {}),
        ({"enum": ["a", 1]}, 1),
        ({"enum": [True]}, True),
        ({"minimum": 1, "maximum": 1}, 1),
        ({"maximum": 1.5}, 10**400 * -1),
        ({"max_length": 2}, "ab"),
        ({"max_length": 2}, [1, 2]),
        ({"globs": ["x", "a-*"]}, "a-b"),
    ],
)
def test_what_is_right_is_let_pass(rule: dict[str, object], value: object) -> None:
    assert wrong_with(ArgumentRule.model_validate(rule), value) == ""


@pytest.mark.parametrize(
    ("rule", "value", "fault"),
    [
        ({"type": "integer"}, True, "of type integer"),
        ({"type": "number"}, False, "of type number"),
        ({"type": "integer"}, 5.0, "of type integer"),
        ({"type": "string"}, None, "of type string"),
        ({"type": "boolean"}, 1, "of type boolean"),
        ({"type": "array"}, "ab", "of type array"),
        ({"enum": [1]}, True, "one of 1"),
        ({"enum": [True]}, 1, "one of true"),
        ({"enum": ["a"]}, "A", "one of 'a'"),
        ({"minimum": 1}, 0.5, "at least 1"),
        ({"maximum": 1}, 10**400, "at most 1"),
        ({"maximum": 1}, "0", "a number"),
        ({"minimum": 0}, True, "a number"),
        ({"minimum": 0}, float("nan"), "at least 0"),
        ({"max_length": 2}, "abc", "longer than 2"),
        ({"max_length": 2}, 1, "text or a list"),
        ({"max_length": 2}, {}, "text or a list"),
        ({"globs": ["a-*"]}, "a-b/c", "must match 'a-\\*'"),
        ({"globs": ["a-*"]}, ["a-b"], "must be text"),
    ],
)
def test_what_is_wrong_is_said(rule: dict[str, object], value: object, fault: str) -> None:
    assert re.search(fault, wrong_with(ArgumentRule.model_validate(rule), value))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("-inf"),
        "\ud800",
        b"bytes",
        object,
        [[float("inf")]],
        {"a": {"\udfff": 1}},
        [0] * 100_001,
    ],
    ids=str,
)
def test_what_json_has_no_word_for_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        check_values({"x": value})


def test_depth_is_no_danger() -> None:
    value: list[object] = []
    for _ in range(50_000):
        value = [value]
    check_values({"x": value})


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.just("key"), inner),
    max_leaves=5,
)


@given(_JSON)
def test_all_of_json_passes(value: object) -> None:
    check_values({"x": value})
