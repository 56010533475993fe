from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stockade.model.conflicts import conflicts, matches, tool_names
from stockade.model.document import ProfileDocument
from stockade.model.profile import Profile
from stockade.policy.otherrules import like

_FIELDS = {
    "tools": {"nope": {}, "read_file": {}, "git_log": {"paths": ["/a"], "commands": ["x"]}},
    "network": [{"host": "a.org", "credential": "x"}],
    "models": [{"provider": "p", "models": ["m"], "credential": "y"}],
    "credentials": {"unused": {"from": "env:A"}},
    "mcp": {"a__b": {"command": ["x"], "tools": {"t": {"paths": ["/a"]}}}},
    "approvals": [{"action": "tool:gone"}, {"action": "tool:git_*"}, {"action": "http:GET"}],
}


def test_all_are_found_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate(_FIELDS)
    [error] = caught.value.errors()
    found = error["ctx"]["conflicts"]
    assert [conflict.path for conflict in found] == [
        ("tools", "nope"),
        ("tools", "read_file"),
        ("tools", "git_log", "paths"),
        ("tools", "git_log", "commands"),
        ("mcp", "a__b"),
        ("mcp", "a__b", "tools", "t", "paths"),
        ("network", 0, "credential"),
        ("models", 0, "credential"),
        ("credentials", "unused"),
        ("approvals", 0, "action"),
    ]
    assert all(conflict.hint for conflict in found)
    assert error["msg"] == str(found[0])


def test_what_extends_another_is_judged_together_with_it() -> None:
    document = ProfileDocument.model_validate({**_FIELDS, "extends": "base.yaml"})
    assert list(conflicts(document))


def test_tools_of_servers_have_the_name_of_the_server_before_theirs() -> None:
    servers = {"s": {"command": ["x"], "tools": {"t": {}}}}
    profile = Profile.model_validate({"tools": {"git_log": {}}, "mcp": servers})
    assert tool_names(profile) == ["git_log", "s__t"]


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab?", max_size=8))
def test_patterns_fit_as_the_policy_has_it(pattern: str, text: str) -> None:
    assert matches(pattern, text) is like(pattern, text)
