from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.cli.conftest import Owner
from tests.unit.conftest import SaveCheckpoint

from stockade.cli.checkpoint import take
from stockade.model.errors import StockadeError, UsageError
from stockade.sandbox.checkpoints import folder_of


def test_its_owner_is_asked_to_save_it_under_the_name(
    read: Callable[..., Namespace],
    owner: Callable[[str], Owner],
    save_checkpoint: SaveCheckpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = owner("aabbccdd")
    assert take.run(read(take, "aabb", "before-the-update")) == 0
    assert take.run(read(take, "aabb")) == 0
    save_checkpoint("aabbccdd-1")
    assert take.run(read(take, "aabb")) == 0
    names = ["before-the-update", "aabbccdd-1", "aabbccdd-2"]
    assert capsys.readouterr().out.split() == names
    assert asked.requests == [
        {"op": "checkpoint", "folder": str(folder_of(name))} for name in names
    ]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("one", StockadeError, "there is a checkpoint 'one' already"),
        ("paused-aabbccdd", UsageError, "is a name that stockade pause gives"),
        ("../one", UsageError, "is not the name of a checkpoint"),
        ("", UsageError, "'' is not the name of a checkpoint"),
        ("One", UsageError, "is not the name of a checkpoint"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_at_once(
    read: Callable[..., Namespace],
    owner: Callable[[str], Owner],
    save_checkpoint: SaveCheckpoint,
    name: str,
    kind: type[StockadeError],
    message: str,
) -> None:
    asked = owner("aabbccdd")
    save_checkpoint("one")
    with pytest.raises(kind, match=message):
        take.run(read(take, "aabbccdd", name))
    assert not asked.requests
