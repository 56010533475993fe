from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable

import pytest

from stockade.cli import run
from stockade.cli.parser import Parser
from stockade.model.errors import UsageError
from stockade.model.limits import Limits
from stockade.model.profile import Profile
from stockade.model.quantities import format_duration


@pytest.mark.parametrize("words", [[], ["--"], ["--json", "--"]])
def test_a_command_is_needed(read: Callable[..., Namespace], words: list[str]) -> None:
    with pytest.raises(UsageError, match="no command given"):
        run.run(read(run, *words))


def test_the_command_is_taken_as_it_is(read: Callable[..., Namespace]) -> None:
    command = ["sh", "-c", "--json", os.fsdecode(b"\xff"), "--"]
    taken = read(run, "--watch", "--", *command)
    assert (taken.command, taken.watch, taken.json) == (command, True, False)


def test_help_tells_the_real_defaults() -> None:
    parser = Parser("stockade run", "")
    run.add_arguments(parser)
    shown = " ".join(parser.format_help().split())
    assert f"else {Profile().image})" in shown
    assert f"else {format_duration(Limits().wall_time)})" in shown
