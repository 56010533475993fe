from __future__ import annotations

import json

import pytest

from stockade.model.action import (
    Action,
    Connection,
    Execution,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
)
from stockade.model.tools import BUILT_IN
from stockade.policy.facts import ACTIONS, entities, facts_of
from stockade.policy.refusal import Refused


def test_tools_take_one_path_at_most() -> None:
    # The context has room for one; a tool with two needs names for both in the schema.
    assert all(len(tool.paths) <= 1 for tool in BUILT_IN.values())


def test_a_call_of_a_tool_is_its_path_both_ways() -> None:
    call = ToolCall(tool="read_file", arguments={"path": "/a/../b", "n": 1}, paths={"path": "//c"})
    facts = facts_of(call)
    assert (facts.action, facts.kind, facts.resource) == ("tool", "Tool", "read_file")
    assert facts.context == {
        "tool": "read_file",
        "arguments": ["n", "path"],
        "path": "/b",
        "leads_to": "/c",
    }
    (entity,) = json.loads(entities(facts))
    assert entity["tags"] == {"path": "/a/../b", "n": "1"}


def test_a_command_is_its_words() -> None:
    facts = facts_of(ToolCall(tool="run_command", arguments={"argv": ["git", "log it"]}))
    assert facts.words == ["git", "log it"]
    assert facts.context["program"] == "git"
    assert facts.context["command"] == "git 'log it'"


def test_a_request_is_normalised() -> None:
    request = HttpRequest(method="GET", host="A.Example.", port=443, path="/a%20b", query="q")
    facts = facts_of(request)
    assert facts.resource == "a.example"
    assert facts.context == {
        "scheme": "https",
        "method": "GET",
        "port": 443,
        "path": "/a b",
        "query": "q",
        "name": "a.example",
    }
    assert entities(facts) == "[]"


def test_an_address_has_no_name() -> None:
    facts = facts_of(Connection(host="[2001:DB8::1]", port=1))
    assert facts.resource == "2001:db8::1"
    assert facts.context == {
        "protocol": "tcp",
        "port": 1,
        "address": {"__extn": {"fn": "ip", "arg": "2001:db8::1"}},
    }


def test_the_others_are_what_they_are() -> None:
    assert facts_of(Lookup(host="A.b")).context == {"name": "a.b"}
    assert facts_of(ModelCall(provider="p", model="m")).context == {
        "provider": "p",
        "model": "m",
        "full": "p/m",
    }
    run = facts_of(Execution(argv=("/bin/sh", "-c")))
    assert (run.resource, run.context["command"]) == ("/bin/sh", "/bin/sh -c")
    assert {facts_of(a).action for a in (Lookup(host="a"), ModelCall(provider="p", model="m"))} < {
        *ACTIONS
    }


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ToolCall(tool="read_file"), "without 'path'"),
        (ToolCall(tool="read_file", arguments={"path": 5}), "without 'path'"),
        (ToolCall(tool="read_file", arguments={"path": "/a"}), "did not say where"),
        (ToolCall(tool="run_command"), "not a list of words"),
        (ToolCall(tool=""), "not a name"),
        (ToolCall(tool="a\n"), "not a name"),
        (ToolCall.model_construct(tool="x" * 257, arguments={}, paths={}), "not a name"),
        (
            ToolCall.model_construct(tool="x", arguments={str(n): n for n in range(65)}, paths={}),
            "more than 64",
        ),
        (Lookup(host="192.0.2.1"), "already"),
        (HttpRequest(method="GET", host="a.b", port=0), "port 0"),
        (Execution(argv=("x" * 5000,)), "program with a name"),
        ("nothing", "no action"),
    ],
)
def test_what_has_no_clear_meaning_is_refused(action: Action, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        facts_of(action)
