"""Private folders, and what is left of those who were killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stockade.egress.http.folder import private_folder
from stockade.model.errors import StockadeError


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder with a path that is short enough for sockets to be in."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_it_is_private_and_goes(parent: Path) -> None:
    with private_folder(parent) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "x").write_text("x")
    assert not folder.exists()


def test_an_abandoned_one_is_swept_and_one_in_use_is_not(parent: Path) -> None:
    abandoned = parent / "stockade-egress-dead"
    abandoned.mkdir()
    (abandoned / "lock").touch()
    (parent / "other").mkdir()
    with private_folder(parent) as first, private_folder(parent) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not abandoned.exists()
    assert [path.name for path in parent.iterdir()] == ["other"]


def test_where_paths_are_too_long_for_sockets_it_is_with_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    with private_folder(long) as folder:
        assert folder.parent == Path("/tmp")
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(StockadeError, match="too long a path"), private_folder(long):
        pass
