from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from stockade.model.action import (
    ACTION,
    MAX_ARGUMENTS,
    MAX_TEXT,
    MAX_WORDS,
    Action,
    Connection,
    Execution,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
    summarize,
)
from stockade.model.errors import UsageError

ACTIONS: list[tuple[Action, str]] = [
    (
        ToolCall(tool="read_file", arguments={"path": "a"}, paths={"path": "/a"}),
        "tool:read_file",
    ),
    (
        HttpRequest(method="GET", host="a.example", port=443, path="/x", query="q=1"),
        "http:GET https://a.example:443/x",
    ),
    (Connection(host="db.internal", port=5432), "connect:tcp db.internal:5432"),
    (Lookup(host="a.example"), "lookup:a.example"),
    (ModelCall(provider="anthropic", model="claude-x"), "model:anthropic/claude-x"),
    (Execution(argv=("pytest", "-q")), "run:pytest"),
]


@pytest.mark.parametrize(("action", "text"), ACTIONS)
def test_every_action_can_be_written_read_and_named(action: Action, text: str) -> None:
    assert ACTION.validate_json(ACTION.dump_json(action)) == action
    assert summarize(action) == text


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "other"},
        {"kind": "run", "argv": []},
        {"kind": "lookup", "host": "a", "more": 1},
        {"kind": "lookup", "host": "a" * (MAX_TEXT + 1)},
        {"kind": "connect", "host": "a", "port": 65_536},
        {"kind": "tool", "tool": "t", "arguments": {f"a{n}": 1 for n in range(MAX_ARGUMENTS + 1)}},
    ],
)
def test_what_is_no_action_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ACTION.validate_python(document)


def test_an_action_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Lookup(host="a").host = "b"


def test_a_command_of_any_bytes_can_be_named() -> None:
    assert Execution.of(["printf", os.fsdecode(b"\xff"), "\u00e9"]).argv == (
        "printf",
        "\\xff",
        "\u00e9",
    )


@pytest.mark.parametrize("argv", [["x"] * (MAX_WORDS + 1), ["x" * (MAX_TEXT + 1)]])
def test_a_command_too_long_to_be_recorded_is_refused(argv: list[str]) -> None:
    with pytest.raises(UsageError, match="more than the record takes"):
        Execution.of(argv)
