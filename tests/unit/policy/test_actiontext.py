from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.action import ACTION, ToolCall
from stockade.model.errors import UsageError
from stockade.policy.actiontext import FORMS, action_text, parse_action


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("tool:run_tests", {"tool": "run_tests", "arguments": {}, "paths": {}}),
        (
            "tool:read_file path=/a limit=3 deep=true name='x y'",
            {
                "arguments": {"path": "/a", "limit": 3, "deep": True, "name": "x y"},
                "paths": {"path": "/a"},
            },
        ),
        ("tool:run_command -- git log", {"arguments": {"argv": ["git", "log"]}}),
        (
            "http:GET https://a.org:8443/x?q=1",
            {"host": "a.org", "port": 8443, "path": "/x", "query": "q=1", "scheme": "https"},
        ),
        ("http:GET http://a.org", {"port": 80, "path": "/"}),
        ("http:GET https://evil.org#@a.org", {"host": "evil.org", "path": "/#@a.org"}),
        ("http:GET https://u@a.org/", {"host": "u@a.org"}),
        ("http:GET https://[::1]:1/", {"host": "[::1]", "port": 1}),
        ("connect:tcp db:5432", {"protocol": "tcp", "host": "db", "port": 5432}),
        ("connect:ssh git.org", {"protocol": "ssh", "port": 22}),
        ("lookup:a.org", {"host": "a.org"}),
        ("model:p/m/2", {"provider": "p", "model": "m/2"}),
        ("run:sh -c 'a b'", {"argv": ("sh", "-c", "a b")}),
        ('{"kind": "lookup", "host": "a.org"}', {"host": "a.org"}),
    ],
)
def test_actions_are_read(text: str, fields: dict[str, Any]) -> None:
    action = parse_action(text)
    assert {name: getattr(action, name) for name in fields} == fields


@pytest.mark.parametrize("text", FORMS.values())
def test_each_form_is_read_and_written(text: str) -> None:
    assert action_text(parse_action(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an action"),
        ("tol:x", "did you mean 'tool'"),
        ("tool:", "is not an action"),
        ("tool:x y", "'y' is not an argument"),
        ("tool:x 'y", "a quote that does not close"),
        ("http:GET a.org", "is not an action"),
        ("http:https://a.org", "is not an action"),
        ("connect:tcp db", "is not an action"),
        ("connect:udp db:1", "protocol: must be 'tcp' or 'ssh'"),
        ("model:m", "is not an action"),
        ('{"kind": "lookup"}', "host: is missing"),
        ("{", "Invalid JSON"),
    ],
)
def test_what_is_no_action_is_one_clear_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_action(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.text(max_size=40)
    | st.sampled_from(sorted(FORMS)).flatmap(
        lambda kind: st.text(max_size=30).map(lambda rest: f"{kind}:{rest}")
    )
)
def test_any_text_is_an_action_or_a_usage_error(text: str) -> None:
    try:
        action = parse_action(text)
    except UsageError:
        return
    assert ACTION.validate_json(action.model_dump_json()) == action


@given(
    st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), st.text(max_size=8), max_size=3)
)
def test_what_is_written_is_read_again(arguments: dict[str, Any]) -> None:
    call = ToolCall(tool="git_log", arguments=arguments)
    assert parse_action(action_text(call)) == call
