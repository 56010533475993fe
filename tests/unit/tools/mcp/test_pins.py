"""The file of accepted definitions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stockade.model.errors import StockadeError
from stockade.tools.mcp.definitions import Definition
from stockade.tools.mcp.pins import pins_path, read_pins, write_pins

_ADD = Definition.read({"name": "add", "inputSchema": {"type": "object"}, "description": "é"})


def test_they_lie_beside_the_profile() -> None:
    assert pins_path(Path("a/codefix.yaml")) == Path("a/codefix.mcp-lock.json")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.mcp-lock.json"
    assert read_pins(path) == {}
    write_pins(path, {"notes": {"add": _ADD}})
    assert read_pins(path) == {"notes": {"add": _ADD}}
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text().isascii()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"version": 1', '"version": 2', "of another version"),
        ("\\u00e9", "e", "'add' is not what its digest says"),
        (_ADD.digest, "0" * 64, "'add' is not what its digest says"),
        ('"name": "add"', '"name": "sub"', "'add' is not what its digest says"),
        ('"name": "add"', '"name": "\\u001b"', "its name has other characters"),
        ('"servers"', '"server"', "not a file of pins"),
        ("{", "[", "not a file of pins|Expecting"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    path = tmp_path / "x.mcp-lock.json"
    write_pins(path, {"notes": {"add": _ADD}})
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StockadeError, match=why) as caught:
        read_pins(path)
    assert caught.value.hint


@pytest.mark.parametrize("document", [[], {"version": 1, "servers": {"a": 1}}, "x"])
def test_any_other_document_is_refused(tmp_path: Path, document: object) -> None:
    path = tmp_path / "x"
    path.write_text(json.dumps(document))
    with pytest.raises(StockadeError):
        read_pins(path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StockadeError, match="cannot write"):
        write_pins(tmp_path / "missing" / "x", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(StockadeError, match="cannot read"):
        read_pins(tmp_path / "folder")
