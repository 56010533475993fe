from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.conftest import SaveCheckpoint

from stockade.model.errors import StockadeError, UsageError
from stockade.sandbox import checkpoints


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/x", "-x", "A", "a b", "ä", "x" * 64, "x\n"]
)
def test_a_name_cannot_lead_elsewhere(save_checkpoint: SaveCheckpoint, name: str) -> None:
    for use in (checkpoints.folder_of, checkpoints.new_folder, checkpoints.remove):
        with pytest.raises(UsageError, match="is not the name of a checkpoint") as caught:
            use(name)
        assert "small letters" in caught.value.hint


def test_all_that_can_be_read_are_listed_the_oldest_first(save_checkpoint: SaveCheckpoint) -> None:
    assert checkpoints.saved() == []
    save_checkpoint("b", machine="00112233", taken=2.0)
    folder = save_checkpoint("a", machine="aabbccdd", template="cd" * 32, taken=3.0)
    save_checkpoint("c", taken=1.0)
    for name, text in (("broken", "{"), ("other", "[]"), (".half", "{}"), ("bare", "{}")):
        (folder.parent / name).mkdir()
        (folder.parent / name / "checkpoint.json").write_text(text)
    (folder.parent / "empty").mkdir()
    (folder.parent / "file").touch()
    found = checkpoints.saved()
    assert [one.name for one in found] == ["c", "b", "a"]
    last = found[-1]
    assert (last.machine, last.profile, last.image) == ("aabbccdd", "mine", "debian-python")
    assert (last.template, last.taken) == ("cd" * 32, 3.0)
    assert last.size > 0


def test_one_that_is_damaged_can_be_removed(save_checkpoint: SaveCheckpoint) -> None:
    folder = save_checkpoint("one")
    (folder / "checkpoint.json").write_text("{")
    checkpoints.remove("one")
    assert not folder.exists()
    with pytest.raises(StockadeError, match="no checkpoint 'one'"):
        checkpoints.remove("one")


def test_what_cannot_be_removed_is_told(
    save_checkpoint: SaveCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint("one")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(StockadeError, match=r"cannot remove \S+/one: Permission denied"):
        checkpoints.remove("one")


def test_a_free_name_is_the_machines_and_a_number(save_checkpoint: SaveCheckpoint) -> None:
    assert checkpoints.free_name("aabbccdd") == "aabbccdd-1"
    save_checkpoint("aabbccdd-1")
    save_checkpoint("aabbccdd-3")
    assert checkpoints.free_name("aabbccdd") == "aabbccdd-2"
    assert checkpoints.free_name("00112233") == "00112233-1"


def test_paused_machines_are_known_by_their_ids(save_checkpoint: SaveCheckpoint) -> None:
    assert checkpoints.paused_machines() == set()
    for name in (checkpoints.paused("aabbccdd"), "aabbccdd-1", checkpoints.paused("00112233")):
        save_checkpoint(name)
    assert checkpoints.paused_machines() == {"aabbccdd", "00112233"}


def test_a_new_one_takes_nothing_from_another(save_checkpoint: SaveCheckpoint) -> None:
    assert checkpoints.new_folder("one") == checkpoints.folder_of("one")
    folder = save_checkpoint("one")
    assert checkpoints.existing_folder("one") == folder
    with pytest.raises(StockadeError, match="there is a checkpoint 'one' already"):
        checkpoints.new_folder("one")
    with pytest.raises(UsageError, match="'paused-aabbccdd' is a name that stockade pause gives"):
        checkpoints.new_folder("paused-aabbccdd")


def test_one_holds_it_at_a_time(save_checkpoint: SaveCheckpoint) -> None:
    folder = save_checkpoint("one")
    with checkpoints.held("one") as held:
        assert held == folder
        with (
            pytest.raises(StockadeError, match="another process goes on from 'one'"),
            checkpoints.held("one"),
        ):
            pass
    with checkpoints.held("one"):
        checkpoints.remove("one")
    with pytest.raises(StockadeError, match="no checkpoint 'one'"), checkpoints.held("one"):
        pass
