from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stockade.model.tools import ArgumentRule, ToolGrant, ToolServer


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"type": "text"}, "'string', 'integer'"),
        ({"enum": []}, "at least 1"),
        ({"enum": [None]}, "must be text, a number, true or false"),
        ({"enum": [[1]]}, "must be text, a number, true or false"),
        ({"minimum": "1"}, "must be a number"),
        ({"minimum": True}, "must be a number"),
        ({"minimum": 2, "maximum": 1}, "no number is at least 2 and at most 1"),
        ({"type": "string", "minimum": 1}, "'minimum' cannot hold for the type string"),
        ({"type": "integer", "globs": ["*"]}, "'globs' cannot hold for the type integer"),
        ({"type": "boolean", "max_length": 1}, "'max_length' cannot hold"),
        ({"globs": ["a**"]}, "must stand alone"),
        ({"required": "yes"}, "valid boolean"),
    ],
)
def test_rules_that_cannot_be_meant(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ArgumentRule.model_validate(fields)
    assert advice in caught.value.errors()[0]["msg"]
    # One for each mistake, whatever the types that a value might have had.
    assert len([error for error in caught.value.errors() if error["type"] != "too_short"]) <= 1


def test_values_of_a_rule_keep_their_types() -> None:
    rule = ArgumentRule.model_validate({"enum": [1, 1.5, "1", True], "minimum": 0})
    assert [type(value) for value in rule.enum or ()] == [int, float, str, bool]
    assert type(rule.minimum) is int


def _server(**fields: Any) -> ToolServer:
    return ToolServer.model_validate({"tools": {}, **fields})


def test_a_server_is_started_or_reached() -> None:
    assert _server(command=["x", "-v"], env={"A": "b"}).url is None
    assert _server(url="http://127.0.0.1:8000/mcp").command is None


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({}, "either 'command'"),
        ({"command": ["x"], "url": "http://a/"}, "either 'command'"),
        ({"url": "http://a/", "env": {"A": "b"}}, "'env' is for a server that 'command' starts"),
        ({"url": "ftp://a/"}, "is not the address of an MCP server"),
        ({"url": "http://u@a/"}, "is not the address of an MCP server"),
        ({"command": []}, "at least 1"),
        ({"command": [""]}, "cannot be a word of a command"),
        ({"command": ["x"], "env": {"A-B": "c"}}, "should match pattern"),
        ({"command": ["x"], "tools": {"a b": {}}}, "should match pattern"),
    ],
)
def test_servers_that_cannot_be_meant(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _server(**fields)
    assert advice in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("fields", [{"paths": []}, {"commands": []}, {"timeout": 0}, {"pats": []}])
def test_grants_that_cannot_be_meant(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ToolGrant.model_validate(fields)
