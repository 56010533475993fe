from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stockade.model.globs import CommandGlob, Glob, PathGlob, UrlGlob


def _fits(kind: Any, text: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "glob", "url", "path"),
    [
        ("/a/**", True, True, True),
        ("/", True, True, True),
        ("/**/b?/*.py", True, True, True),
        ("/a/", True, True, False),  # matches no file
        ("a/b", True, False, False),
        ("**", True, False, False),
        ("/a/../b", True, False, False),
        ("/a/./b", True, False, False),
        ("/a//b", True, False, False),
        ("/a**", False, False, False),
        ("/a/***", False, False, False),
        ("/a\nb", False, False, False),
        ("", False, False, False),
        ("/" + "a" * 4096, False, False, False),
    ],
)
def test_which_patterns_can_be_meant(text: str, glob: bool, url: bool, path: bool) -> None:
    assert (_fits(Glob, text), _fits(UrlGlob, text), _fits(PathGlob, text)) == (glob, url, path)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("pytest", True),
        ("pytest -q **", True),
        ("git 'a b' *.py", True),
        ("cat src/**", True),
        ("", False),
        ("  ", False),
        ("**", False),
        ("git ** log", False),
        ("git log**", False),
        ("git 'log", False),
    ],
)
def test_which_commands_can_be_meant(text: str, good: bool) -> None:
    assert _fits(CommandGlob, text) is good
