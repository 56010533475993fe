from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.tools.arguments import ArgumentError, complete
from stockade.tools.catalogue import TOOLS
from stockade.tools.tool import PATH, schema

_SCHEMA = schema(
    {
        "path": PATH,
        "most": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "kind": {"enum": ["a", "b"]},
        "words": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
    },
    required=("path",),
)


def test_what_is_missing_gets_its_default() -> None:
    assert complete({"path": "x"}, _SCHEMA) == {"path": "x", "most": 3}
    assert complete({"path": "x", "most": 5}, _SCHEMA)["most"] == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "the argument 'path' is missing"),
        ({"path": 7}, "path must be of type string, not 7"),
        ({"path": "x", "most": "3"}, "most must be of type integer, not '3'"),
        ({"path": "x", "most": 0}, "most must be at least 1, not 0"),
        ({"path": "x", "most": 10}, "most must be at most 9, not 10"),
        ({"path": "x", "kind": "c"}, "kind must be one of a, b, not 'c'"),
        ({"path": "x", "words": []}, "words must not be empty"),
        ({"path": "x", "words": ["a"] * 3}, "words has 3 entries; 2 is the most"),
        ({"path": "x", "words": ["a", 1]}, "words[1] must be of type string, not 1"),
        ({"path": ""}, "path must not be empty"),
        ({"path": "x" * 65536}, "path has 65536 characters; 4096 is the most"),
        ({"path": "a\0b"}, "path must match ^[^\\x00]*$, but is 'a\\x00b'"),
        (
            {"path": "x", "moist": 1},
            "unknown argument 'moist'; did you mean 'most'? (it takes path, most, kind, words)",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError) as error:
        complete(arguments, _SCHEMA)
    assert str(error.value) == said


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(sorted(TOOLS)),
    st.dictionaries(
        st.text() | st.sampled_from(["path", "content", "argv", "pattern", "most"]), _VALUES
    ),
)
def test_any_arguments_are_taken_or_refused_shortly(name: str, arguments: dict[str, Any]) -> None:
    try:
        complete(arguments, TOOLS[name].description.arguments)
    except ArgumentError as error:
        said = str(error)
    else:
        said = ""
    assert len(said) < 500
    assert "\n" not in said
