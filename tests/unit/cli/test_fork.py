from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Owner

from stockade.cli import fork
from stockade.model.errors import StockadeError, UsageError


def test_its_owner_is_asked_to_save_it_where_only_this_process_looks(
    read: Callable[..., Namespace],
    owner: Callable[[str], Owner],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path / "cache"))
    asked = owner("aabbccdd")
    asked.refusal = StockadeError("not now")
    with pytest.raises(StockadeError, match="not now"):
        fork.run(read(fork, "aab", "--", "true"))
    [request] = asked.requests
    assert request["op"] == "checkpoint"
    assert Path(request["folder"]).is_relative_to(tmp_path / "cache" / "tmp")
    assert list((tmp_path / "cache" / "tmp").iterdir()) == []


def test_nothing_is_copied_for_a_mistake(
    read: Callable[..., Namespace], owner: Callable[[str], Owner]
) -> None:
    asked = owner("aabbccdd")
    with pytest.raises(UsageError, match="no command given"):
        fork.run(read(fork, "aabbccdd"))
    with pytest.raises(StockadeError, match="no machine"):
        fork.run(read(fork, "bb", "--", "true"))
    assert not asked.requests
