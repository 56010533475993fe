from __future__ import annotations

import pytest

from stockade.model.action import ToolCall
from stockade.model.errors import ProfileError
from stockade.model.profile import Profile
from stockade.model.tools import ArgumentRule, ToolGrant, ToolServer
from stockade.policy.facts import facts_of
from stockade.policy.rules import Rule
from stockade.policy.toolrules import argument_fault, tool_rules

_STRING = ArgumentRule.model_validate({"type": "string"})


def _profile(tools: dict[str, ToolGrant], **hub: ToolGrant) -> Profile:
    # Past the checks of a document: whatever a profile says, no rule may be wider for it.
    servers = {"hub": ToolServer.model_construct(tools=hub)} if hub else {}
    return Profile().model_copy(update={"tools": tools, "mcp": servers})


def _rule(name: str, grant: ToolGrant) -> Rule:
    (rule,) = tool_rules(_profile({name: grant}), "")
    return rule


def test_rules_have_the_place_of_their_grant() -> None:
    profile = _profile({"make_patch": ToolGrant()}, search=ToolGrant())
    assert [(rule.id, rule.key) for rule in tool_rules(profile, "")] == [
        ("tools.make_patch", "make_patch"),
        ("mcp.hub.tools.search", "hub__search"),
    ]


@pytest.mark.parametrize(
    ("name", "grant"),
    [
        ("read_file", ToolGrant()),
        ("make_patch", ToolGrant(paths=("/a/**",))),
        ("read_file", ToolGrant(paths=("/a/**",), commands=("ls",))),
        ("run_command", ToolGrant()),
        ("make_patch", ToolGrant(commands=("ls",))),
        ("not_built_in", ToolGrant()),
    ],
)
def test_a_bound_that_cannot_be_kept_grants_nothing(name: str, grant: ToolGrant) -> None:
    rule = _rule(name, grant)
    assert "    false" in rule.cedar
    assert rule.allows == ""


def test_a_tool_of_a_server_has_no_path_that_is_known() -> None:
    (rule,) = tool_rules(_profile({}, search=ToolGrant(paths=("/a/**",))), "")
    assert "    false" in rule.cedar


def test_both_the_asked_path_and_where_it_leads_must_match() -> None:
    rule = _rule("read_file", ToolGrant(paths=("/a/**",)))
    assert rule.uses == {"path_globs", "leads_to_globs"}
    facts = facts_of(ToolCall(tool="read_file", arguments={"path": "/a"}, paths={"path": "/b"}))
    assert rule.lacks(facts, {"path_globs": ["/a/**"], "leads_to_globs": []}) == [
        "path '/a' leads to '/b', outside what it may touch"
    ]
    assert rule.lacks(facts, {"path_globs": ["x"], "leads_to_globs": ["x"]}) == []


def test_a_quote_that_does_not_close_is_an_error() -> None:
    profile = _profile({"run_command": ToolGrant.model_construct(commands=("ls", "ls 'a"))})
    with pytest.raises(ProfileError, match=r"p.yaml: tools.run_command.commands\[1\]"):
        list(tool_rules(profile, "p.yaml"))


def test_an_argument_must_be_there_only_if_it_is_required() -> None:
    facts = facts_of(ToolCall(tool="x", arguments={"a": 1}))
    assert argument_fault(_STRING, "b", facts) == ""
    assert argument_fault(ArgumentRule(required=True), "b", facts) == "must be given"
    assert argument_fault(_STRING, "a", facts) == "must be of type string"
