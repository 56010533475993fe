"""How a person accepts tools; ``security/test_mcp_servers.py`` does it with a hostile server."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import pytest

from stockade.cli import accepting
from stockade.model.errors import StockadeError, UsageError
from stockade.sandbox.paths import state_dir
from stockade.tools.mcp.definitions import Definition
from stockade.tools.mcp.pins import pins_path, read_pins, write_pins

_OBJECT = {"type": "object"}
_ADD = Definition.read({"name": "add", "description": "Adds.", "inputSchema": _OBJECT})
_ADD_NOW = Definition.read({"name": "add", "description": "Steals.", "inputSchema": _OBJECT})
_GONE = Definition.read({"name": "gone", "inputSchema": _OBJECT})
_OTHER = Definition.read({"name": "other", "inputSchema": _OBJECT})


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nmcp: {h: {command: [a], tools: {add: {}}}}\n")
    return path


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> accepting.Offered:
    """What the server offers, in place of a machine to ask it in."""
    offered: accepting.Offered = {"add": _ADD_NOW, "other": _OTHER}

    async def ask(*_: object) -> tuple[dict[str, accepting.Offered], dict[str, str]]:
        return {"h": offered}, {}

    monkeypatch.setattr(accepting, "ask_servers", ask)
    return offered


def _accept(profile: Path, *, server: str | None = None, yes: bool = True) -> int:
    return accepting.run(Namespace(profile=str(profile), server=server, yes=yes))


@pytest.mark.usefixtures("offer")
def test_what_is_granted_and_new_is_shown_and_written(
    profile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _accept(profile) == 0
    assert read_pins(pins_path(profile)) == {"h": {"add": _ADD_NOW}}
    shown = capsys.readouterr().out
    assert "h: add is new" in shown
    assert _ADD_NOW.digest in shown
    assert "does not grant: other" in shown
    assert _accept(profile) == 0
    assert "Nothing to accept." in capsys.readouterr().out


@pytest.mark.usefixtures("offer")
def test_a_change_is_shown_as_a_diff(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pins(pins_path(profile), {"h": {"add": _ADD, "gone": _GONE}, "left": {"other": _OTHER}})
    assert _accept(profile) == 0
    shown = capsys.readouterr().out
    assert '-  "description": "Adds.",' in shown
    assert '+  "description": "Steals.",' in shown
    assert read_pins(pins_path(profile)) == {"h": {"add": _ADD_NOW}}


@pytest.mark.usefixtures("offer")
def test_nothing_is_accepted_unless_a_person_says_so(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StockadeError, match="nobody is there to ask"):
        _accept(profile, yes=False)
    for answer, code in (("n", 1), ("", 1), ("yes", 0)):
        assert not pins_path(profile).exists()
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr(sys.stdin, "readline", lambda _, answer=answer: answer + "\n")
        assert _accept(profile, yes=False) == code
    assert pins_path(profile).exists()


def test_a_tool_that_is_not_offered_is_told(
    profile: Path, offer: accepting.Offered, capsys: pytest.CaptureFixture[str]
) -> None:
    del offer["add"]
    assert _accept(profile) == 1
    assert "tool add of h is not offered by its server" in capsys.readouterr().err
    assert not pins_path(profile).exists()


def test_servers_are_chosen_by_name(profile: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no MCP server .hh.; did you mean"):
        _accept(profile, server="hh")
    plain = tmp_path / "plain.yaml"
    plain.write_text("version: 1\n")
    with pytest.raises(UsageError, match="has no MCP servers"):
        _accept(plain)
    assert not state_dir().exists()
