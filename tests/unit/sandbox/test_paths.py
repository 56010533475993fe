from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from stockade.model.errors import StockadeError
from stockade.sandbox.paths import cache_dir, runtime_dir, state_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder away, which only root may")
_KINDS = [
    (cache_dir, "STOCKADE_CACHE_DIR", "XDG_CACHE_HOME", ".cache/stockade"),
    (state_dir, "STOCKADE_STATE_DIR", "XDG_STATE_HOME", ".local/state/stockade"),
]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing chosen, and a home of its own."""
    for _, own, standard, _ in _KINDS:
        monkeypatch.delenv(own, raising=False)
        monkeypatch.delenv(standard, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(("folder", "own", "standard", "default"), _KINDS)
def test_each_is_chosen_by_us_then_by_xdg_then_by_default(
    folder: Callable[[], Path],
    own: str,
    standard: str,
    default: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert folder() == tmp_path / default
    monkeypatch.setenv(standard, "relative/is/ignored")
    assert folder() == tmp_path / default
    monkeypatch.setenv(standard, str(tmp_path / "xdg"))
    assert folder() == tmp_path / "xdg" / "stockade"
    monkeypatch.setenv(own, str(tmp_path / "own"))
    assert folder() == tmp_path / "own"


@pytest.mark.parametrize(("folder", "own", "_standard", "_default"), _KINDS)
def test_what_we_are_told_may_be_relative(
    folder: Callable[[], Path],
    own: str,
    _standard: str,
    _default: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(own, "here")
    assert folder() == tmp_path / "here"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be a user without a home")
def test_without_any_home_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    os.setresuid(54_321, -1, -1)  # a user that the system does not know
    try:
        with pytest.raises(StockadeError, match="no home directory") as error:
            cache_dir()
    finally:
        os.setresuid(0, -1, -1)
    assert "STOCKADE_CACHE_DIR" in error.value.hint


def test_the_runtime_folder_is_made_private(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for _ in range(2):
        assert runtime_dir() == tmp_path / "stockade"
    assert stat.S_IMODE(runtime_dir().stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_runtime_folder_that_others_may_enter_is_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "stockade").mkdir()
    (tmp_path / "stockade").chmod(mode)
    assert stat.S_IMODE(runtime_dir().stat().st_mode) == 0o700


def test_a_link_planted_in_its_place_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "stockade").symlink_to("elsewhere")
    with pytest.raises(StockadeError, match="belongs to somebody else"):
        runtime_dir()
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755


@pytest.mark.parametrize("what", ["file", "dangling link"])
def test_what_is_no_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    if what == "file":
        (tmp_path / "stockade").touch()
    else:
        (tmp_path / "stockade").symlink_to("nowhere")
    with pytest.raises(StockadeError, match="the runtime directory") as error:
        runtime_dir()
    assert "XDG_RUNTIME_DIR" in error.value.hint


@_AS_ROOT
def test_a_folder_of_another_user_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "stockade").mkdir(mode=0o700)
    os.chown(tmp_path / "stockade", 65534, 65534)
    with pytest.raises(StockadeError, match="belongs to somebody else"):
        runtime_dir()


def test_a_runtime_folder_that_cannot_be_made_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "no" / "such"))
    with pytest.raises(StockadeError, match=r"cannot create the runtime directory .*No such file"):
        runtime_dir()


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_without_a_session_there_is_a_place_all_the_same(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    found = runtime_dir()
    assert found.stat().st_uid == os.geteuid()
    assert str(found) in {"/run/stockade", f"/tmp/stockade-{os.geteuid()}"}
