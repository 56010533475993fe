from __future__ import annotations

import pytest
from pydantic import ValidationError

from stockade.model.action import (
    ACTION,
    MAX_ARGUMENTS,
    MAX_TEXT,
    Action,
    Connection,
    Execution,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
    summarize,
)

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
