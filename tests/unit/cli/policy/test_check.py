from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli.policy import check

_Read = Callable[..., Namespace]


def _file(folder: Path, text: str, name: str = "p.yaml") -> str:
    path = folder / name
    path.write_text(f"version: 1\n{text}\n")
    return str(path)


def test_a_clean_profile_is_ok(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _file(tmp_path, "name: x")
    assert check.run(read(check, name, "--strict")) == 0
    assert capsys.readouterr().out == f"{name}: ok\n"


def test_warnings_matter_only_if_it_is_strict(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _file(tmp_path, 'network: [{host: "*"}]')
    assert check.run(read(check, name)) == 0
    assert check.run(read(check, name, "--strict")) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"{name}:2:18: warning: network[0].host: '*' stands for nearly all")
    assert line.endswith("[any-host]")


def test_every_error_of_every_file_is_told(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = _file(tmp_path, "nam: x\ntools: {read_file: {path: [/a]}}", "one.yaml")
    two = _file(tmp_path, "policies: [bad.cedar]", "two.yaml")
    (tmp_path / "bad.cedar").write_text("permit (\n")
    three = _file(tmp_path, "extends: one.yaml", "three.yaml")
    names = [one, two, three, str(tmp_path / "none.yaml")]
    assert check.run(read(check, *names, "--format", "json")) == 2
    found = json.loads(capsys.readouterr().out)
    assert [(Path(f["file"]).name, f["line"], f["rule"], f["level"]) for f in found] == [
        ("one.yaml", 2, "unknown-key", "error"),
        ("one.yaml", 3, "unknown-key", "error"),
        ("two.yaml", 1, "policy", "error"),
        ("three.yaml", 1, "extends", "error"),
        ("none.yaml", 1, "file", "error"),
    ]
    assert "bad.cedar:1: not valid Cedar" in found[2]["message"]


def test_sarif_is_printed_for_code_hosts(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _file(tmp_path, 'network: [{host: "*"}]')
    assert check.run(read(check, name, "--format=sarif")) == 0
    [run] = json.loads(capsys.readouterr().out)["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["any-host"]


def test_nothing_in_a_file_can_steer_the_terminal(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.run(read(check, _file(tmp_path, '"\\e[2J": x'))) == 2
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert shown.strip().isprintable()
