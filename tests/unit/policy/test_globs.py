from __future__ import annotations

import re
from fnmatch import translate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stockade.policy.globs import compiled, matches


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("/a/**", "/a"),
        ("/a/**", "/a/b/c"),
        ("/**", "/"),
        ("/**", "/a/b"),
        ("**", "x"),
        ("**/x", "x"),
        ("**/x", "a/b/x"),
        ("/a/*", "/a/b"),
        ("/a/?", "/a/é"),
        ("/a/**/b", "/a/b"),
        ("/a/**/b", "/a/x/y/b"),
        ("/a/**/b/**/c", "/a/b/q/b/x/c"),
        ("/**/x/*.py", "/q/x/x/b.py"),
        ("/a*a", "/aa"),
        ("*b*b", "abab"),
        ("a**b", "axb"),
        ("/a.b+[c]", "/a.b+[c]"),
        ("/a/*", "/a/.hidden"),
        ("/a/*", "/a/..."),
        ("*", "a\nb"),
        ("/a/..", "/a/.."),
    ],
)
def test_a_pattern_matches(pattern: str, text: str) -> None:
    assert matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("/a/**", "/ab"),
        ("/a/**", "/"),
        ("/a/**", "/a/../b"),
        ("/a/*", "/a/b/c"),
        ("/a/*", "/a"),
        ("/a/*", "/a/.."),
        ("/a/*", "/a/."),
        ("/a/.?", "/a/.."),
        ("/a/?", "/a/bc"),
        ("/a/?", "/a/"),
        ("/a*a", "/a"),
        ("a**b", "a/b"),
        ("/a.b", "/axb"),
        ("/A", "/a"),
        ("/é", "/e\u0301"),
        ("a", "a\n"),
        ("*.py", "x.py/y"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, text: str) -> None:
    assert not matches(pattern, text)


def _reference(pattern: list[str], text: list[str]) -> bool:
    """Match by trying everything."""
    if not pattern:
        return not text
    head, *rest = pattern
    if head == "**":
        if _reference(rest, text):
            return True
        return bool(text) and text[0] not in (".", "..") and _reference(pattern, text[1:])
    if not text or (("*" in head or "?" in head) and text[0] in (".", "..")):
        return False
    return bool(re.match(translate(head), text[0])) and _reference(rest, text[1:])


@given(pattern=st.text(alphabet="ab.*?/", max_size=12), text=st.text(alphabet="ab./", max_size=14))
@example(pattern="**/a/**/b", text="a/a/b/b")
def test_it_matches_what_trying_everything_matches(pattern: str, text: str) -> None:
    # A gap over which nothing may go can make the leftmost find the wrong one; then it is a no.
    found, wanted = matches(pattern, text), _reference(pattern.split("/"), text.split("/"))
    dotted = any(part in (".", "..") for part in text.split("/"))
    assert found == wanted or (dotted and not found)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a*a*a*a*a*a*a*a*b", "a" * 65536),
        ("**/a/**/a/**/a/**/a/**/b", "a/" * 32768),
        ("/**/*?*?*?*?*/x", "/" + "a" * 65536),
        ("?" * 64 + "*b", "a" * 65536),
        ("**/" * 64 + "b", "a/" * 32768),
    ],
)
def test_hostile_text_is_matched_in_bounded_steps(pattern: str, text: str) -> None:
    # With backtracking none of these would ever end, and pytest's timeout would.
    assert not matches(pattern, text)


def test_a_pattern_is_compiled_once() -> None:
    assert compiled("/a/**") is compiled("/a/**")
