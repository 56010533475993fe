from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.conftest import SaveCheckpoint

from stockade.cli import rollback
from stockade.model.errors import StockadeError, UsageError


def test_the_checkpoint_must_be_there(
    read: Callable[..., Namespace], save_checkpoint: SaveCheckpoint
) -> None:
    with pytest.raises(StockadeError, match="no checkpoint 'none'"):
        rollback.run(read(rollback, "none", "--", "true"))
    with pytest.raises(UsageError, match="not the name of a checkpoint"):
        rollback.run(read(rollback, "../x", "--", "true"))


def test_something_must_be_run(
    read: Callable[..., Namespace], save_checkpoint: SaveCheckpoint
) -> None:
    save_checkpoint("one")
    with pytest.raises(UsageError, match="no command given"):
        rollback.run(read(rollback, "one"))


def test_one_whose_template_is_gone_is_not_gone_back_to(
    read: Callable[..., Namespace], save_checkpoint: SaveCheckpoint
) -> None:
    folder: Path = save_checkpoint("one")
    with pytest.raises(StockadeError, match="is gone or was made anew"):
        rollback.run(read(rollback, "one", "--", "true"))
    assert folder.is_dir()
