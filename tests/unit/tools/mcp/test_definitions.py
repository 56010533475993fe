"""What is kept of a tool's definition, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from stockade.tools.mcp.definitions import Definition, DefinitionError

_TOOL: dict[str, Any] = {
    "name": "add",
    "description": "Adds \u202e numbers.",
    "inputSchema": {"type": "object", "properties": {"b": {}, "a": {}}},
}


def test_the_digest_is_of_canonical_json_and_of_what_agents_are_shown() -> None:
    made = Definition.read({**_TOOL, "icons": ["x"], "_meta": {"a": 1}, "title": None})
    expected = (
        '{"annotations":{},"description":"Adds \u202e numbers.",'
        '"inputSchema":{"properties":{"a":{},"b":{}},"type":"object"},"name":"add"}'
    )
    assert made.canonical == expected.encode()
    assert made.digest == hashlib.sha256(expected.encode()).hexdigest()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("description", "Adds numbers!"),
        ("title", "Add"),
        ("inputSchema", {"type": "object", "properties": {"b": {}}}),
        ("outputSchema", {"type": "object"}),
        ("annotations", {"readOnlyHint": True}),
    ],
)
def test_a_change_of_any_part_changes_the_digest_and_is_named(part: str, value: Any) -> None:
    before, now = Definition.read(_TOOL), Definition.read({**_TOOL, part: value})
    assert before.digest != now.digest
    assert now.changed_parts(before) == [part]
    assert any(line.startswith(("+  ", "-  ")) for line in now.changes_from(before))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "\x1b[31mred"}, "its name has other characters"),
        ({"name": "x" * 129}, "its name has other characters"),
        ({"name": 1}, "its name has other characters"),
        ({"description": 1}, "its description is not text"),
        ({"description": "x" * 70_000}, "larger than 64KiB"),
        ({"description": "\ud800"}, "what is not JSON"),
        ({"annotations": []}, "annotations are not an object"),
        ({"inputSchema": None}, "its inputSchema is not an object"),
        ({"inputSchema": {"type": "string"}}, 'not of type "object"'),
        ({"inputSchema": {"type": "object", "minProperties": float("nan")}}, "what is not JSON"),
        ({"outputSchema": {"type": "object", "required": 1}}, "its outputSchema is not a JSON"),
    ],
)
def test_what_no_agent_may_be_shown_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        Definition.read({**_TOOL, **change})


def test_it_is_shown_in_lines_that_hide_nothing() -> None:
    shown = Definition.read(_TOOL).show()
    assert all(line.isprintable() for line in shown)
    assert any("\\u202e" in line for line in shown)


def test_only_known_hints_that_are_true_or_false_are_kept() -> None:
    hints = {"readOnlyHint": True, "destructiveHint": "no", "other": True}
    assert Definition.read({**_TOOL, "annotations": hints}).parts["annotations"] == {
        "readOnlyHint": True
    }
