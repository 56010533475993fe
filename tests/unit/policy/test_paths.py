from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.policy.paths import MAX_PATH, clean_path
from stockade.policy.refusal import Refused


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/workspace/x", "/workspace/x"),
        ("/", "/"),
        ("//a///b/", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("/a/%2e%2e", "/a/%2e%2e"),
        ("/a/é 日本", "/a/é 日本"),
        ("/procx", "/procx"),
        ("/a/proc", "/a/proc"),
        ("/" + "a" * 255, "/" + "a" * 255),
    ],
)
def test_a_path_is_normalised(text: str, clean: str) -> None:
    assert clean_path(text) == clean


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a/b", "not absolute"),
        ("/a\0b", "control"),
        ("/a\x9f", "control"),
        ("/a\u2029", "control"),
        ("/\ud800", "Unicode"),
        ("/" + "a" * 256, "name of more than 255"),
        ("/" + "a/" * MAX_PATH, "more than 4096"),
        ("/" + "é/" * 1400, "more than 4096"),
        ("/proc/self/root/x", "the kernel's own"),
        ("/a/../sys", "the kernel's own"),
        ("//dev//null", "the kernel's own"),
    ],
)
def test_what_is_no_clear_path_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        clean_path(text)


@given(st.text(alphabet="ab./", max_size=20).map("/".__add__))
def test_it_agrees_with_the_standard_library(text: str) -> None:
    assert clean_path(text) == "/" + posixpath.normpath(text).lstrip("/")
