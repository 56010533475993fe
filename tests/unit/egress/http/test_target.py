"""Targets that can be read in two ways, and those that cannot."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.http.target import MAX_TARGET, fault_of, split


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/b.c",
        "/a..b/...",
        "/@types%2fnode",
        "/a;b=c/d",
        "/100%25",
        "/a?x=//../%00#".rstrip("#"),
    ],
)
def test_plain_targets_pass(target: str) -> None:
    assert fault_of(target) == ""


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("", "begin"),
        ("*", "begin"),
        ("http://a.test/", "begin"),
        ("//a", "empty"),
        ("/a//b", "empty"),
        ("/%2fa", "empty"),
        ("/..", "dot"),
        ("/./a", "dot"),
        ("/a/%2E%2e/b", "dot"),
        ("/a/..%2fb", "dot"),
        ("/a/%252e%252e/b", "dot"),
        ("/a/..;x/b", "dot"),
        ("/a/..%3Bx/b", "dot"),
        ("/a\\b", "backslash"),
        ("/a%5cb", "backslash"),
        ("/a%00", "control"),
        ("/a%250a", "control"),
        ("/a b", "percent-encoded"),
        ("/a\xe9", "percent-encoded"),
        ("/a#b", "percent-encoded"),
        ("/%2525252561", "over"),
        ("/" + "a" * MAX_TARGET, "more than"),
    ],
)
def test_others_are_told_what_is_wrong(target: str, fault: str) -> None:
    assert fault in fault_of(target)


@given(st.text(alphabet="/.%25eEfF;\\ab", max_size=30).map(lambda text: "/" + text))
def test_what_passes_resolves_to_itself_however_often_it_is_decoded(target: str) -> None:
    if fault_of(target):
        return
    path, _ = split(target)
    for _ in range(5):
        trimmed = path.rstrip("/") or "/"
        assert posixpath.normpath(trimmed) == trimmed
        path = unquote(path, encoding="latin-1")
