from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.tools.conftest import GRANTS, WORKSPACE, Tools

from stockade.tools.read_file import LARGEST

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine


def test_a_file_is_read_to_the_character(tools: Tools) -> None:
    text = "first\n\n  third \N{SNOWMAN}\r\nlast without an end"
    tools.box.files.write("/workspace/f", text)
    result = tools("read_file", path="f")
    assert result.text == text
    assert result.data == {
        "path": "/workspace/f",
        "first_line": 1,
        "lines": 4,
        "total_lines": 4,
        "complete": True,
    }


def test_an_empty_file_is_empty(tools: Tools) -> None:
    tools.box.files.write("/workspace/f", "")
    result = tools("read_file", path="f")
    assert (result.text, result.failed) == ("", False)


def test_lines_can_be_asked_for(tools: Tools) -> None:
    tools.box.files.write("/workspace/f", "".join(f"line {n}\n" for n in range(1, 101)))
    result = tools("read_file", path="f", offset=10, limit=2)
    assert result.text == "line 10\nline 11\n[89 more lines; go on with offset=12]\n"
    assert tools("read_file", path="f", offset=100).text == "line 100\n"
    assert "100 lines; 101 is behind its end" in tools.refused("read_file", path="f", offset=101)


def test_what_does_not_fit_says_where_to_go_on(box: BlockingSandbox, tools: Tools) -> None:
    small = Tools(box, {**GRANTS, "read_file": {**WORKSPACE, "output": 20}})
    box.files.write("/workspace/f", "12345678\n" * 3 + "x" * 50 + "\nend\n")
    assert small("read_file", path="f").text == (
        "12345678\n12345678\n[3 more lines; go on with offset=3]\n"
    )
    assert small("read_file", path="f", offset=4).text == (
        "x" * 20
        + " [... 30 more characters of this line ...]\n[1 more lines; go on with offset=5]\n"
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"a\xff", "byte 0xff at 1 is not UTF-8"), (b"a\0b", "it has NUL characters")],
)
def test_what_is_no_text_is_refused(tools: Tools, content: bytes, why: str) -> None:
    tools.box.files.write("/workspace/f", content)
    assert why in tools.refused("read_file", path="f")


def test_a_file_that_is_too_large_is_refused(tools: Tools) -> None:
    tools.shell(f"truncate -s {LARGEST + 1} f")
    assert f"larger than {LARGEST} bytes" in tools.refused("read_file", path="f")
