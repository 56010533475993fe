from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli.policy import learn
from stockade.cli.profiles import compiled
from stockade.cli.profiles import read as read_profile
from stockade.model.errors import UsageError
from stockade.model.event import Decision
from stockade.model.verdict import Effect, Verdict
from stockade.policy.actiontext import parse_action

_Read = Callable[..., Namespace]


def _journal(
    folder: Path, *texts: str, effect: Effect = Effect.ALLOW, enforced: bool = True
) -> str:
    verdict = Verdict(effect=effect, rule="x", reason="x")
    path = folder / "j.jsonl"
    with path.open("a") as file:
        for text in texts:
            event = Decision(
                session="s",
                time=0.0,
                action=parse_action(text),
                verdict=verdict,
                enforced=enforced,
            )
            file.write(event.model_dump_json() + "\n")
    return str(path)


def test_what_is_learned_can_be_run_and_allows_it(read: _Read, tmp_path: Path) -> None:
    texts = ["tool:read_file path=/w/a", "http:GET https://a.org/x", "tool:git_log"]
    out = tmp_path / "learned.yaml"
    journal = _journal(tmp_path, *texts)
    assert learn.run(read(learn, journal, "-o", str(out))) == 0
    policy = compiled(read_profile(out))
    assert all(policy.decide(parse_action(text)).allowed for text in texts)
    assert not policy.decide(parse_action("tool:read_file path=/w/b")).allowed
    with pytest.raises(UsageError, match="is there already"):
        learn.run(read(learn, journal, "-o", str(out)))


def test_what_was_denied_and_stopped_is_not_learned_unless_asked(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = _journal(tmp_path, "lookup:evil.org", effect=Effect.DENY)
    _journal(tmp_path, "lookup:good.org", effect=Effect.DENY, enforced=False)
    assert learn.run(read(learn, journal)) == 0
    shown = capsys.readouterr().out
    assert "good.org" in shown
    assert "evil.org" not in shown
    assert learn.run(read(learn, journal, "--denied")) == 0
    assert "evil.org" in capsys.readouterr().out


def test_it_says_what_a_journal_cannot_tell(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("version: 1\nname: base\nfiles: [{host: a, guest: /w}]\ntools: {git_log: {}}\n")
    journal = _journal(tmp_path, "tool:run_tests")
    assert learn.run(read(learn, journal)) == 0
    assert "does not say which image, files, limits" in capsys.readouterr().out
    assert learn.run(read(learn, journal, "--profile", str(base))) == 0
    shown = capsys.readouterr().out
    assert "does not say" not in shown
    assert f'host: "{tmp_path}/a"' in shown
    assert "git_log" not in shown


def test_what_cannot_be_allowed_is_told_and_code_1(
    read: _Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = _journal(tmp_path, "tool:nope a='x\ny'", "http:GET https://127.1/")
    assert learn.run(read(learn, journal)) == 1
    captured = capsys.readouterr()
    assert "# Not allowed: tool:nope" in captured.out
    assert "stockade: not allowed: tool:nope" in captured.err
    assert captured.err.count("\n") == 2


def test_generalize_is_one_of_those_there_are(read: _Read, tmp_path: Path) -> None:
    words = read(learn, "j", "--generalize", "folder", "--generalize", "host").generalize
    assert words == ["folder", "host"]
    with pytest.raises(UsageError):
        read(learn, "j", "--generalize", "all")
