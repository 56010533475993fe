from __future__ import annotations

import json

import pytest

from stockade.cli.template.listing import show

_ONE = {
    "key": "ab" * 32, "image": "dir:/x\x1b", "digest": "cd" * 32, "cpus": 2, "memory": 1 << 30,
    "slots": 16, "created": 60.0, "size": 3 << 20,
    "damage": "",
}  # fmt: skip


def test_a_template_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([_ONE], json=False)
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == [
        "KEY",
        "IMAGE",
        "CPUS",
        "MEMORY",
        "SIZE",
        "CREATED",
        "(UTC)",
        "STATE",
    ]
    assert line.split() == [
        "ab" * 6, "dir:/x\N{REPLACEMENT CHARACTER}", "2", "1GiB", "3MiB", "1970-01-01", "00:01",
        "ready",
    ]  # fmt: skip


def test_a_damaged_one_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    show([{**_ONE, "damage": "why"}, {"key": "ef" * 32, "size": 0, "damage": "why"}], json=False)
    _, one, other = capsys.readouterr().out.splitlines()
    assert one.endswith(" damaged")
    assert other.split() == ["ef" * 6, "-", "-", "-", "0B", "-", "damaged"]


def test_json_is_what_was_described(capsys: pytest.CaptureFixture[str]) -> None:
    show([_ONE], json=True)
    assert json.loads(capsys.readouterr().out) == [_ONE]
