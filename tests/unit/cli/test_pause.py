from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.cli.conftest import Owner
from tests.unit.conftest import SaveCheckpoint

from stockade.cli import pause
from stockade.model.errors import StockadeError


def test_its_owner_is_asked(
    read: Callable[..., Namespace],
    owner: Callable[[str], Owner],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = owner("aabbccdd"), owner("aa00ccdd")
    assert pause.run(read(pause, "aab")) == 0
    assert (first.requests, second.requests) == ([{"op": "pause"}], [])
    assert capsys.readouterr().out == "aabbccdd\n"


def test_what_the_owner_refuses_is_told_with_its_hint(
    read: Callable[..., Namespace],
    owner: Callable[[str], Owner],
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner("aabbccdd").refusal = StockadeError("the disk is full", hint="Make room.")
    with pytest.raises(StockadeError, match="the disk is full") as caught:
        pause.run(read(pause, "aabbccdd"))
    assert caught.value.hint == "Make room."
    assert capsys.readouterr().out == ""


def test_a_machine_is_not_paused_twice(
    read: Callable[..., Namespace], owner: Callable[[str], Owner], save_checkpoint: SaveCheckpoint
) -> None:
    asked = owner("aabbccdd")
    save_checkpoint("paused-aabbccdd")
    with pytest.raises(StockadeError, match="is paused already") as caught:
        pause.run(read(pause, "aabbccdd"))
    assert caught.value.hint == "Use stockade resume aabbccdd."
    assert not asked.requests


@pytest.mark.parametrize(
    ("prefix", "problem"), [("aa", "more than one"), ("b", "no"), ("", "more")]
)
def test_the_machine_must_be_plain(
    read: Callable[..., Namespace], owner: Callable[[str], Owner], prefix: str, problem: str
) -> None:
    owner("aabbccdd")
    owner("aa00ccdd")
    with pytest.raises(StockadeError, match=problem):
        pause.run(read(pause, prefix))
