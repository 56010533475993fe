"""Each search in a process of its own, as in the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stockade.guest import search

_RUN = """
import os, sys
from stockade.guest import files
files.operate("search", os.fsencode(sys.argv[1]), 0)
"""


def _search(folder: Path, expression: str, **more: Any) -> tuple[list[dict[str, Any]], Any]:
    question = {"expression": expression, "names": "(?s:.*)", "within": "(?s:.*)", "most": 10}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(folder)],
        input=json.dumps({**question, **more}).encode(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        return [], json.loads(done.stderr)["message"]
    *found, end = [json.loads(line) for line in done.stdout.splitlines()]
    return found, end


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path.resolve()
    (tree / "a.py").write_text("one\nword here\n")
    (tree / "d/.git").mkdir(parents=True)
    (tree / "d/.git/x").write_text("word\n")
    (tree / "d/b.txt").write_text("a word\r\nno\nword\n")
    return tree


def test_matches_have_path_line_and_text(tree: Path) -> None:
    found, end = _search(tree, "word")
    assert found == [
        {"path": f"{tree}/a.py", "line": 2, "text": "word here"},
        {"path": f"{tree}/d/b.txt", "line": 1, "text": "a word\r"},
        {"path": f"{tree}/d/b.txt", "line": 3, "text": "word"},
    ]
    assert end == {"files": 2, "skipped": 0, "complete": True}


def test_names_and_paths_are_held_to_their_expressions(tree: Path) -> None:
    assert len(_search(tree, "word", names=r".*\.py")[0]) == 1
    assert len(_search(tree, "word", within=f"{tree}/d/.*")[0]) == 2
    assert _search(tree, "word", within="/nowhere")[1]["files"] == 0


def test_links_second_names_and_binaries_are_not_looked_into(tree: Path) -> None:
    os.link(tree / "a.py", tree / "second")
    (tree / "binary").write_bytes(b"word\0")
    (tree / "link").symlink_to("d/b.txt")
    (tree / "out").symlink_to("d")
    with (tree / "large").open("wb") as file:
        file.truncate(search._LARGEST + 1)
    os.mkfifo(tree / "fifo")
    found, end = _search(tree, "word")
    assert {one["path"] for one in found} == {f"{tree}/d/b.txt"}
    assert (end["files"], end["skipped"]) == (5, 4)


def test_no_more_than_asked_for_is_told(tree: Path) -> None:
    found, end = _search(tree, "", most=2)
    assert (len(found), end["complete"]) == (2, False)


def test_a_long_line_is_shown_around_its_match(tree: Path) -> None:
    (tree / "long").write_text("x" * 10_000 + "needle" + "y" * 10_000)
    [found], _ = _search(tree, "needle")
    assert "needle" in found["text"]
    assert len(found["text"]) == search._SHOWN


@pytest.mark.parametrize("expression", ["((", "(?P<", "*", "a{99999999999}"])
def test_what_is_no_expression_is_an_error(tree: Path, expression: str) -> None:
    assert "not a regular expression" in _search(tree, expression)[1]


def test_a_deep_tree_ends(tree: Path) -> None:
    folder = tree
    for _ in range(search._DEEPEST + 10):
        folder = folder / "d"
        folder.mkdir(exist_ok=True)
        (folder / "deep.txt").write_text("deep\n")
    assert _search(tree, "deep", most=1000)[1]["files"] == search._DEEPEST + 2
