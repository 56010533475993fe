"""Strangers' schemas: checked at a bounded cost, weaker than they are and never stronger."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from stockade.tools.mcp import schemas
from stockade.tools.mcp.schemas import Schema, SchemaError

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "ab"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)
_SCHEMAS = st.recursive(
    st.booleans()
    | st.sampled_from([
        {"type": "object"}, {"type": "string"}, {"type": "integer", "minimum": 0}, {"const": 1},
        {"enum": ["a", 1, None]}, {"pattern": "^a"}, {"minLength": 1}, {"required": ["a"]},
        {"patternProperties": {"a": False}, "additionalProperties": False}, {"uniqueItems": True},
        {"$ref": "#"}, {"$ref": "#/properties/a"}, {"maxItems": 1},
    ]),
    lambda inner: st.one_of(
        st.builds(lambda a: {"properties": {"a": a}}, inner),
        st.builds(lambda a: {"items": a}, inner),
        st.builds(lambda a: {"not": a}, inner),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
        st.builds(lambda a, b: {"oneOf": [a, b]}, inner, inner),
        st.builds(lambda a, b: {"allOf": [a], "if": b, "then": a, "else": b}, inner, inner),
        st.builds(lambda a: {"contains": a}, inner),
        st.builds(lambda a: {"prefixItems": [a]}, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@given(_SCHEMAS, _VALUES)
def test_whatever_the_schema_accepts_is_accepted(schema: Any, value: Any) -> None:
    root = {"allOf": [schema], "properties": {"a": {"type": "integer"}}}
    try:
        accepted = Draft202012Validator(root).is_valid(value)
    except RecursionError:
        return  # "#" within "#" without an end, which theirs cannot do and ours does
    if accepted:
        assert Schema(root).problem(value) == ""


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        ({"type": "object"}, [], "[] is not of type 'object'"),
        ({"properties": {"a": {"type": "integer"}}}, {"a": "x"}, "['a']: 'x' is not of type"),
        ({"required": ["a"]}, {}, "'a' is a required property"),
        ({"additionalProperties": False}, {"z": 1}, "Additional properties are not allowed"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"minimum": 1}}}, 0, "0 is less than the minimum"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, 1, "1 is not valid under any"),
        ({"items": {"enum": [1]}}, [1, 2], "[1]: 2 is not one of"),
        ({"properties": {"\x1b": {"const": 1}}}, {"\x1b": "\x1b[2J"}, "was expected"),
    ],
)
def test_what_does_not_fit_is_told(schema: dict[str, Any], value: Any, problem: str) -> None:
    told = Schema(schema).problem(value)
    assert problem in told
    assert told.isprintable()


def test_no_expression_of_a_stranger_is_evaluated() -> None:
    hang = {"pattern": "^(a+)+$", "patternProperties": {"^(a+)+$": {}}}
    assert "attern" not in str(Schema({"properties": {"x": hang}, **hang}).weaker)
    assert Schema(hang).problem("a" * 60 + "!") == ""


def test_references_are_followed_in_the_document_alone() -> None:
    for elsewhere in ("http://127.0.0.1:1/x", "file:///etc/passwd", "#/nowhere", "other.json"):
        assert Schema({"$ref": elsewhere}).problem({"a": 1}) == ""
    tree = {"properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}}
    assert Schema(tree).problem({"child": {"n": "x"}}) != ""


def test_references_that_double_are_refused_in_bounded_time() -> None:
    bomb: dict[str, Any] = {"d0": {"type": "object"}}
    for step in range(1, 40):
        part = {"$ref": f"#/$defs/d{step - 1}"}
        bomb[f"d{step}"] = {"allOf": [part, {"properties": {"a": part}}]}
    with pytest.raises(SchemaError, match="more than 2000 parts"):
        Schema({"$defs": bomb, "$ref": "#/$defs/d20"})
    with pytest.raises(SchemaError, match="more than 2000 parts"):
        Schema({"enum": list(range(3000))})


def test_a_schema_that_is_none_is_refused() -> None:
    for schema in ({"type": "nothing"}, {"properties": {"a": 1}}, {"required": 1}):
        with pytest.raises(SchemaError, match="not a JSON Schema"):
            Schema(schema)


def test_a_value_too_large_to_check_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MAX_WORK", 10)
    assert Schema({"items": {}}).problem([0] * 10) == "it is too large to be checked"


def test_a_number_too_large_to_divide_is_told() -> None:
    assert Schema({"multipleOf": 0.5}).problem(10**400) != ""
