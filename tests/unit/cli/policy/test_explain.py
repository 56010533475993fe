from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli.policy import explain
from stockade.model.errors import UsageError

_Read = Callable[..., Namespace]
_TEXT = """\
version: 1
network:
  - {host: a.org, paths: ["/x/**"]}
tools:
  read_file: {paths: ["/w/**"]}
approvals: [{action: "tool:read_file"}]
"""


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "p.yaml"
    path.write_text(_TEXT)
    return str(path)


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        ("http:GET https://a.org/x/y", 0, ["allow ", "network[0] (", "p.yaml:3)"]),
        ("http:POST https://a.org/x", 126, ["deny ", "nearest ", "but only GET, HEAD is granted"]),
        ("tool:read_file path=/w/a", 126, ["ask ", "approvals[0] (", "granted by", "tools.read_f"]),
        ("tool:read_file path=/etc", 126, ["deny ", "read_file may touch /w/**"]),
        ("lookup:b.org", 126, ["deny ", "default"]),
    ],
)
def test_it_says_what_decides_and_what_is_missing(
    read: _Read,
    profile: str,
    capsys: pytest.CaptureFixture[str],
    action: str,
    code: int,
    words: list[str],
) -> None:
    assert explain.run(read(explain, "--profile", profile, action)) == code
    shown = capsys.readouterr().out
    assert all(word in shown for word in words), shown


def test_json_has_all_of_it(read: _Read, profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-p", profile, "--json", "http:POST https://a.org/x")
    assert explain.run(read(explain, *words)) == 126
    shown = json.loads(capsys.readouterr().out)
    assert shown["action"]["method"] == "POST"
    assert shown["verdict"]["effect"] == "deny"
    assert shown["nearest"][0]["lacks"] == ["only GET, HEAD is granted"]


def test_what_is_no_action_is_a_usage_error(read: _Read, profile: str) -> None:
    with pytest.raises(UsageError):
        explain.run(read(explain, "-p", profile, "htp:x"))
    with pytest.raises(UsageError, match="required: -p/--profile"):
        read(explain, "lookup:a.org")
