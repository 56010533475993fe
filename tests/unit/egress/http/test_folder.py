"""Private folders, and what is left of those who were killed."""

from __future__ import annotations

from pathlib import Path

from stockade.egress.http.folder import private_folder


def test_it_is_private_and_goes(tmp_path: Path) -> None:
    with private_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "x").write_text("x")
    assert not folder.exists()


def test_an_abandoned_one_is_swept_and_one_in_use_is_not(tmp_path: Path) -> None:
    abandoned = tmp_path / "egress-dead"
    abandoned.mkdir()
    (abandoned / "lock").touch()
    (tmp_path / "other").mkdir()
    with private_folder(tmp_path) as first, private_folder(tmp_path) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not abandoned.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
