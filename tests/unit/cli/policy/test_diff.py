from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli.policy import diff
from stockade.model.event import Decision
from stockade.model.verdict import Effect, Verdict
from stockade.policy.actiontext import parse_action

_Read = Callable[..., Namespace]


@pytest.fixture
def profiles(tmp_path: Path) -> tuple[str, str]:
    for name, methods in (("a", "[GET]"), ("b", "[GET, POST]")):
        text = f"version: 1\nnetwork: [{{host: x.org, methods: {methods}}}]\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    return str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")


def test_no_change_is_code_0(
    read: _Read, profiles: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert diff.run(read(diff, profiles[0], profiles[0])) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "0 wider, 0 narrower" in captured.err


def test_changes_are_listed_with_the_rule(
    read: _Read, profiles: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert diff.run(read(diff, *profiles)) == 1
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["A", "B", "RULE", "ACTION"]
    assert lines
    for line in lines:
        assert line.split()[:4] == ["+", "deny", "allow", "network[0]"]
        assert "http:POST https://x.org/" in line


def test_a_journal_says_what_to_try(
    read: _Read, profiles: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict(effect=Effect.DENY, rule="default", reason="x")
    journal = tmp_path / "j.jsonl"
    texts = ["http:POST https://x.org/q", "http:GET https://x.org/q"]
    events = [
        Decision(session="s", time=0.0, action=parse_action(text), verdict=verdict)
        for text in texts
    ]
    journal.write_text("".join(event.model_dump_json() + "\n" for event in events))
    words = (*reversed(profiles), "--journal", str(journal), "--json")
    assert diff.run(read(diff, *words)) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["tried"] == 2
    [change] = shown["changes"]
    assert (change["action"]["method"], change["wider"]) == ("POST", False)
