from __future__ import annotations

import pytest
from tests.unit.tools.conftest import Tools

pytestmark = pytest.mark.machine


def _write(tools: Tools, content: bytes | str) -> None:
    tools.box.files.write("/workspace/f", content)


def test_one_passage_is_replaced_and_all_else_stays(tools: Tools) -> None:
    _write(tools, b"one\r\ntwo\n\xff three\n")
    assert tools.done("edit_file", path="f", old="two\n", new="2") == {
        "path": "/workspace/f",
        "line": 2,
        "bytes": 14,
    }
    assert tools.box.files.read("/workspace/f") == b"one\r\n2\xff three\n"


@pytest.mark.parametrize(
    ("content", "old", "said"),
    [
        ("a\nb\na\n", "a", "has `old` 2 times (lines 1, 3)"),
        ("aaa", "aa", "has `old` 2 times (lines 1, 1)"),
        ("x\n" * 9, "x", "has `old` 9 times (lines 1, 2, 3, 4, 5, ...)"),
        ("a", "b", "does not have `old`"),
        ("a\r\nb\r\n", "a\nb", "lines end with CR LF"),
        ("a\n\tb\n", "a\n    b", "only with other white space"),
    ],
)
def test_what_is_not_there_once_is_refused_with_what_there_is(
    tools: Tools, content: str, old: str, said: str
) -> None:
    _write(tools, content)
    assert said in tools.refused("edit_file", path="f", old=old, new="new")
    assert tools.box.files.read("/workspace/f") == content.encode()


def test_an_edit_that_changes_nothing_is_told(tools: Tools) -> None:
    _write(tools, "a")
    assert "nothing changes" in tools.refused("edit_file", path="f", old="a", new="a")
    assert "must not be empty" in tools.refused("edit_file", path="f", old="", new="a")
