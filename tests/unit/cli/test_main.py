"""Every mistake on the command line ends in one line and a code, never in a traceback."""

from __future__ import annotations

import pytest

from stockade import __version__
from stockade.cli.main import COMMANDS, run


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run"], 2, "no command given"),
        (["run", "--nope", "--", "true"], 2, "--nope"),
        (["run", "--timeout", "5x", "--", "true"], 2, "'5x' is not a duration"),
        (["run", "--limit", "memry=1GiB", "--", "true"], 2, "did you mean 'memory'"),
        (["run", "--env", "novalue", "--", "true"], 2, "is not a variable"),
        (["run", "--file", "nowhere", "--", "true"], 2, "is not a file grant"),
        (["run", "--image", "nope", "--", "true"], 125, "unknown image 'nope'"),
        (["run", "--profile", "/nonexistent.yaml", "--", "true"], 125, "No such file"),
        (["bogus"], 2, "bogus"),
        (["kill", "zz"], 125, "no machine has the id 'zz'"),
        (["image", "remove", "nope"], 125, "no image 'nope'"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("stockade: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"stockade {__version__}"
