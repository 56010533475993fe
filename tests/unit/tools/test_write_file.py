from __future__ import annotations

import pytest
from tests.unit.tools.conftest import Tools

from stockade.tools.write_file import MOST

pytestmark = pytest.mark.machine


def test_a_file_is_written_with_its_folders(tools: Tools) -> None:
    data = tools.done(
        "write_file", path="new/deep/f", content="h\N{LATIN SMALL LETTER O WITH DIAERESIS}\r\n"
    )
    assert data == {"path": "/workspace/new/deep/f", "bytes": 5}
    assert tools.box.files.read("/workspace/new/deep/f") == b"h\xc3\xb6\r\n"


def test_a_file_that_is_there_is_replaced_and_keeps_its_mode(tools: Tools) -> None:
    tools.box.files.write("/workspace/f", "something longer", mode=0o750)
    tools.done("write_file", path="f", content="short")
    assert tools.box.files.read("/workspace/f") == b"short"
    assert tools.box.files.status("/workspace/f").mode == 0o750
    assert [entry.name for entry in tools.box.files.list("/workspace")] == ["f"]


def test_the_largest_text_is_written_and_a_larger_one_refused(tools: Tools) -> None:
    assert tools.done("write_file", path="f", content="x" * MOST)["bytes"] == MOST
    said = tools.refused("write_file", path="f", content="x" * (MOST + 1))
    assert said == f"write_file: content has {MOST + 1} characters; {MOST} is the most"


def test_a_folder_is_not_replaced(tools: Tools) -> None:
    tools.shell("mkdir d")
    assert "Is a directory" in tools.refused("write_file", path="d", content="x")
