from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.tools.conftest import GRANTS, WORKSPACE, Tools

from stockade.tools.list_files import MOST

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine


def test_a_folder_is_listed(tools: Tools) -> None:
    tools.shell("mkdir d; printf abc > f; ln -s /etc/passwd l; mkfifo p")
    result = tools("list_files")
    assert result.data == {
        "path": "/workspace",
        "entries": [
            {"name": "d", "kind": "directory", "size": 40},
            {"name": "f", "kind": "file", "size": 3},
            {"name": "l", "kind": "symlink", "size": 11},
            {"name": "p", "kind": "fifo", "size": 0},
        ],
        "total": 4,
    }
    assert [line.split()[1] for line in result.text.splitlines()] == ["d/", "f", "l@", "p|"]
    assert tools("list_files", path="d").text == "/workspace/d is empty"


def test_no_name_breaks_the_answer(tools: Tools) -> None:
    tools.shell(r"""python3 -c 'import os; open(b"a\nb\xff\x1b[2J", "w")'""")
    result = tools("list_files")
    assert result.data
    assert result.data["entries"][0]["name"] == "a\nb\N{REPLACEMENT CHARACTER}\x1b[2J"
    assert len(result.text.splitlines()) == 1
    assert "\x1b" not in result.text


def test_many_entries_are_counted(box: BlockingSandbox, tools: Tools) -> None:
    tools.shell(f"python3 -c 'for n in range({MOST + 5}): open(str(n), \"w\")'")
    data = tools.done("list_files")
    assert (len(data["entries"]), data["total"]) == (MOST, MOST + 5)
    small = Tools(box, {**GRANTS, "list_files": {**WORKSPACE, "output": 100}})
    result = small("list_files")
    assert result.text.endswith("more entries; search_files looks below a folder]")
    assert len(result.text) < 250


def test_what_is_no_folder_is_told(tools: Tools) -> None:
    tools.shell("touch f")
    assert "Not a directory" in tools.refused("list_files", path="f")
    assert "No such file" in tools.refused("list_files", path="none")
