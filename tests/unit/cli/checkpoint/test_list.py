from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.conftest import SaveCheckpoint

from stockade.cli.checkpoint import list as checkpoint_list


def test_each_is_one_line_and_the_oldest_comes_first(
    read: Callable[..., Namespace],
    save_checkpoint: SaveCheckpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_checkpoint("second", taken=120.0)
    save_checkpoint("first", machine="aabbccdd", taken=60.0)
    assert checkpoint_list.run(read(checkpoint_list)) == 0
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "MACHINE", "PROFILE", "IMAGE", "SIZE", "TAKEN", "(UTC)"]
    assert first.split()[:4] == ["first", "aabbccdd", "mine", "debian-python"]
    assert first.endswith("1970-01-01 00:01")
    assert second.startswith("second")


def test_json_has_all_that_is_known(
    read: Callable[..., Namespace],
    save_checkpoint: SaveCheckpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert checkpoint_list.run(read(checkpoint_list, "--json")) == 0
    assert json.loads(capsys.readouterr().out) == []
    save_checkpoint("one", machine="aabbccdd", template="cd" * 32, taken=2.5)
    assert checkpoint_list.run(read(checkpoint_list, "--json")) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert shown.pop("size") > 0
    assert shown == {
        "name": "one", "machine": "aabbccdd", "profile": "mine", "image": "debian-python",
        "template": "cd" * 32, "taken": 2.5,
    }  # fmt: skip
