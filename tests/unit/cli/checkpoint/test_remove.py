from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.conftest import SaveCheckpoint

from stockade.cli.checkpoint import remove
from stockade.model.errors import StockadeError


def test_one_is_removed_and_only_once(
    read: Callable[..., Namespace],
    save_checkpoint: SaveCheckpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, other = save_checkpoint("one"), save_checkpoint("other")
    assert remove.run(read(remove, "one")) == 0
    assert capsys.readouterr().out == "one\n"
    assert not one.exists()
    assert other.is_dir()
    with pytest.raises(StockadeError, match="there is no checkpoint 'one'"):
        remove.run(read(remove, "one"))
