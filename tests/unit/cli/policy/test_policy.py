from __future__ import annotations

from importlib import import_module

import pytest

from stockade.cli.main import run
from stockade.cli.policy import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_of_its_commands_is_a_module(name: str) -> None:
    module = import_module(f"stockade.cli.policy.{name}")
    assert module.add_arguments.__doc__
    assert module.run.__doc__


def test_alone_it_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: stockade policy COMMAND")
    assert all(f"\n  {name}" in shown for name in COMMANDS)
