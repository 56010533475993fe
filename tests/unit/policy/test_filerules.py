from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.errors import ProfileError
from stockade.policy.filerules import MAX_BYTES, read_cedar

_ANY = "permit (principal, action, resource);"


def test_rules_are_numbered_and_may_hold_any_text() -> None:
    text = f"""// ; not a rule
{_ANY}
@reason("a; b // \\" c")  // why;
forbid (principal, action == Action::"http", resource)
  when {{ context.path like "/x;//*" }};

@effect("ask") forbid (principal, action == Action::"run", resource);
// end"""
    rules = read_cedar("own.cedar", text, "agent")
    assert [rule.id for rule in rules] == [f"cedar:own.cedar#policy{n}" for n in range(3)]
    assert [rule.grants for rule in rules] == [True, False, False]
    assert [rule.asks for rule in rules] == [False, False, True]
    assert rules[1].reason == 'a; b // " c'


@pytest.mark.parametrize("text", ["", "\n", "// nothing", "//;"])
def test_a_file_may_be_empty(text: str) -> None:
    assert read_cedar("x.cedar", text, "agent") == []


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("permit (principal, action, resource)", "not valid Cedar"),
        ("permit (principal, action, resource) when { };", "not valid Cedar"),
        ("allow (principal, action, resource);", "not valid Cedar"),
        ('permit (principal, action, resource) when { "', "not valid Cedar"),
        (";", "not valid Cedar"),
        ("permit (principal == ?principal, action, resource);", "template"),
        ('permit (principal, action == Action::"htp", resource);', "unrecognized action"),
        (
            'permit (principal, action == Action::"http", resource) when { context.prot == 1 };',
            "`prot`",
        ),
        (
            'permit (principal, action == Action::"http", resource) when { context.port == "1" };',
            "types",
        ),
        (
            'permit (principal, action == Action::"tool", resource) when { context.path == "" };',
            "optional attribute",
        ),
        ("permit (principal, action, resource is Htos);", "Htos"),
        ('@effect("ask") permit (principal, action, resource);', "on a permit"),
        ('@effect("deny") forbid (principal, action, resource);', "'deny'"),
        ('forbid (principal == Agent::"other", action, resource);', "'other'"),
        (
            'permit (principal, action, resource) when { principal == Agent::"other" };',
            "'other'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(rule: str, fault: str) -> None:
    text = f"{_ANY}\n\n// text\n{rule}\n"
    with pytest.raises(ProfileError) as caught:
        read_cedar("own.cedar", text, "agent")
    assert str(caught.value).startswith("own.cedar:4: ")
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_bounded() -> None:
    with pytest.raises(ProfileError, match="larger than"):
        read_cedar("x.cedar", " " * (MAX_BYTES + 1), "agent")
    with pytest.raises(ProfileError, match="more than 1024 rules"):
        read_cedar("x.cedar", "forbid (principal, action, resource);" * 1025, "agent")


@given(st.text(max_size=60) | st.text(alphabet='permit(cl,on)se"/\\;{} @?=', max_size=60))
def test_any_text_is_rules_or_an_error_with_a_line(text: str) -> None:
    message = ""
    try:
        read_cedar("x.cedar", text, "agent")
    except ProfileError as error:
        message = str(error)
    assert not message or re.match(r"x\.cedar:[1-9][0-9]*: .", message)
