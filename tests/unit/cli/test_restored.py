from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.conftest import SaveCheckpoint

from stockade.cli import fork, restored
from stockade.cli.progress import Display
from stockade.model.errors import UsageError
from stockade.model.profile import Profile
from stockade.sandbox.checkpoint import Checkpoint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no command given, and a shell needs a terminal"),
        (["--json"], "--json is for a command"),
        (["--watch", "--"], "--watch is for a command"),
    ],
)
def test_nothing_is_opened_for_a_mistake(
    read: Callable[..., Namespace], words: list[str], message: str
) -> None:
    async def opening(display: Display) -> Checkpoint:
        raise AssertionError("it was opened")

    with pytest.raises(UsageError, match=message):
        restored.go_on(read(fork, "aabb", *words), opening)


def test_a_bad_time_is_a_usage_error(
    read: Callable[..., Namespace], save_checkpoint: SaveCheckpoint
) -> None:
    folder = save_checkpoint("one")

    async def opening(display: Display) -> Checkpoint:
        return Checkpoint.load(folder)

    with pytest.raises(UsageError, match="'never' is not a duration"):
        restored.go_on(read(fork, "aabb", "--timeout", "never", "--", "true"), opening)


def test_the_profile_is_the_machines_but_for_time_and_terminal(
    read: Callable[..., Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "of-a-person")
    profile = Profile(name="mine", env={"A": "1", "TERM": "of-the-run"})
    command = read(fork, "aabb", "--", "true")
    assert restored._amended(profile, command) == profile
    shell = restored._amended(profile, read(fork, "aabb", "--timeout", "90s"))
    assert shell.env == {"A": "1", "TERM": "of-a-person"}
    assert shell.limits == profile.limits.override(wall_time="90s")
