from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.cli.conftest import Owner
from tests.unit.conftest import SaveCheckpoint

from stockade.cli import resume
from stockade.model.errors import StockadeError, UsageError
from stockade.sandbox import checkpoints


def test_the_run_that_it_belongs_to_goes_on(
    read: Callable[..., Namespace],
    owner: Callable[[str], Owner],
    save_checkpoint: SaveCheckpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = owner("aabbccdd")
    save_checkpoint("paused-aabbccdd")
    assert resume.run(read(resume, "aabb")) == 0
    assert asked.requests == [{"op": "resume"}]
    assert capsys.readouterr().out == "aabbccdd\n"


@pytest.mark.parametrize("words", [["--", "true"], ["--json"], ["--watch"], ["--timeout", "1s"]])
def test_that_run_has_a_command_already(
    read: Callable[..., Namespace], owner: Callable[[str], Owner], words: list[str]
) -> None:
    asked = owner("aabbccdd")
    with pytest.raises(UsageError, match="still has its run") as caught:
        resume.run(read(resume, "aabbccdd", *words))
    assert "stockade fork" in caught.value.hint
    assert not asked.requests


def test_without_a_run_something_must_be_run_in_it(
    read: Callable[..., Namespace], owner: Callable[[str], Owner], save_checkpoint: SaveCheckpoint
) -> None:
    save_checkpoint("paused-aabbccdd")
    with pytest.raises(UsageError, match="no command given"):
        resume.run(read(resume, "aabb"))
    assert checkpoints.paused_machines() == {"aabbccdd"}


def test_one_process_goes_on_with_it_and_no_other(
    read: Callable[..., Namespace], owner: Callable[[str], Owner], save_checkpoint: SaveCheckpoint
) -> None:
    save_checkpoint("paused-aabbccdd")
    with (
        checkpoints.held("paused-aabbccdd"),
        pytest.raises(StockadeError, match="another process goes on"),
    ):
        resume.run(read(resume, "aabbccdd", "--", "true"))


def test_what_lives_and_what_was_saved_are_told_apart_together(
    read: Callable[..., Namespace], owner: Callable[[str], Owner], save_checkpoint: SaveCheckpoint
) -> None:
    owner("aabbccdd")
    save_checkpoint("paused-aa00ccdd")
    with pytest.raises(StockadeError, match="more than one machine"):
        resume.run(read(resume, "aa"))
    with pytest.raises(StockadeError, match="no machine") as caught:
        resume.run(read(resume, "ab"))
    assert "stockade checkpoint list" in caught.value.hint


def test_a_damaged_one_is_told_and_kept(
    read: Callable[..., Namespace], owner: Callable[[str], Owner], save_checkpoint: SaveCheckpoint
) -> None:
    (save_checkpoint("paused-aabbccdd") / "state").write_bytes(b"other")
    with pytest.raises(StockadeError, match="is damaged: state is not what was saved"):
        resume.run(read(resume, "aabbccdd", "--", "true"))
    assert checkpoints.paused_machines() == {"aabbccdd"}
