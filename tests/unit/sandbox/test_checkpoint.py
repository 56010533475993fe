from __future__ import annotations

import json
import os
import shutil
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.sandbox.conftest import open_descriptors

from stockade.model.errors import StockadeError
from stockade.model.limits import Limits
from stockade.model.profile import Access, FileGrant, Profile
from stockade.sandbox.backends.base import Disk
from stockade.sandbox.checkpoint import Checkpoint, Origin, describe
from stockade.sandbox.grants import GrantDisk
from stockade.sandbox.ram import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STATE = os.urandom(20_000)
_PAGES = os.urandom(3 * 4096)
_DISKS = {"files-0": os.urandom(70_000), "files-1": b"one small file"}
_FILES = {"checkpoint.json", "state", "pages", *_DISKS}
_FIELDS = ("machine", "profile", "template", "ram", "taken", "runs", "grants", "sums")


def _memory(content: bytes) -> int:
    fd = os.memfd_create("content", os.MFD_CLOEXEC)
    os.write(fd, content)
    return fd


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(
        name="mine",
        limits=Limits(cpus=2, wall_time=77.5),
        files=(
            FileGrant(host=tmp_path / "ünï\udcffcode", guest="/workspace", access=Access.OVERLAY),
            FileGrant(host=tmp_path / "b", guest="/data/b"),
        ),
        env={"A": "b\nc"},
    )


@pytest.fixture
def checkpoint(profile: Profile) -> Iterator[Checkpoint]:
    """Give one of a machine with two changed runs and two grants; nothing of it stays open."""
    before = open_descriptors()
    grants = tuple(
        GrantDisk(Disk(name, _memory(content)), {"disk": name, "target": f"/{name}"})
        for name, content in _DISKS.items()
    )
    origin = Origin("00112233", profile, "ab" * 32, "cd" * 32, 1234.5)
    made = Checkpoint(origin, _STATE, Pages(array("Q", [5, 1, 9, 2]), _memory(_PAGES)), grants)
    yield made
    made.close()
    assert open_descriptors() <= before


@pytest.fixture
def saved(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints" / "one"
    checkpoint.save(folder)
    return folder


def _content(fd: int) -> bytes:
    return os.pread(fd, 1 << 20, 0)


def test_what_is_saved_is_loaded(checkpoint: Checkpoint, saved: Path) -> None:
    found = Checkpoint.load(saved)
    assert found.origin == checkpoint.origin
    assert found.state == _STATE
    assert list(found.pages.runs) == [5, 1, 9, 2]
    assert _content(found.pages.fd) == _PAGES
    assert [grant.message for grant in found.grants] == [
        grant.message for grant in checkpoint.grants
    ]
    assert {grant.disk.serial: _content(grant.disk.fd) for grant in found.grants} == _DISKS
    # QEMU takes only disks that it could not write.
    for grant in found.grants:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(grant.disk.fd, b"x")
    found.close()


def test_it_is_nobody_elses_to_read(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == _FILES
    assert saved.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o177 == 0 for path in saved.iterdir())
    assert [path.name for path in saved.parent.iterdir()] == ["one"]


def test_a_machine_that_changed_nothing_can_be_saved(profile: Profile, tmp_path: Path) -> None:
    origin = Origin("00112233", profile, "k", "r", 0.0)
    made = Checkpoint(origin, b"s", Pages(array("Q"), _memory(b"")), ())
    made.save(tmp_path / "small")
    made.close()
    found = Checkpoint.load(tmp_path / "small")
    assert (found.state, found.pages.size, found.grants) == (b"s", 0, ())
    found.close()


def test_the_loaded_one_does_not_need_its_folder(saved: Path) -> None:
    found = Checkpoint.load(saved)
    shutil.rmtree(saved)
    assert _content(found.pages.fd) == _PAGES
    found.close()


def test_the_state_can_be_put_any_number_of_times(checkpoint: Checkpoint) -> None:
    for _ in range(2):
        fd = os.memfd_create("state")
        checkpoint.put_state(fd)
        assert os.read(fd, 1 << 16) == _STATE
        os.close(fd)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", sorted(_FILES))
@pytest.mark.parametrize(
    "damage", [Path.unlink, _truncate, _empty, _append, _flip, _folder], ids=lambda d: d.__name__
)
def test_damage_to_any_file_is_one_error_and_leaves_nothing_open(
    saved: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(saved / name)
    before = open_descriptors()
    with pytest.raises(StockadeError) as error:
        Checkpoint.load(saved)
    assert str(error.value).isprintable()
    assert error.value.hint
    assert open_descriptors() <= before


@pytest.mark.parametrize("name", ["state", "pages", "files-0"])
def test_links_are_not_followed(saved: Path, name: str) -> None:
    _link(saved / name)
    with pytest.raises(StockadeError, match="is damaged"):
        Checkpoint.load(saved)


def test_no_bit_of_what_is_written_down_can_change_unnoticed(saved: Path) -> None:
    """Where pages belong, which disks are whose, and what the machine may use: all is in there."""
    facts = saved / "checkpoint.json"
    content = facts.read_bytes()
    unnoticed = []
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        facts.write_bytes(changed)
        try:
            Checkpoint.load(saved).close()
        except StockadeError:
            continue
        unnoticed.append(content[max(0, place - 20) : place + 10])
    assert not unnoticed, f"{len(unnoticed)} of {len(content)}, such as {unnoticed[:5]}"


@pytest.mark.parametrize("field", _FIELDS)
@pytest.mark.parametrize("value", [None, "x", -1, [], {}, [1], [[]], 1e400, {"a": []}, "\ud800"])
def test_a_field_of_another_kind_is_one_error(saved: Path, field: str, value: object) -> None:
    facts = saved / "checkpoint.json"
    document = json.loads(facts.read_bytes())
    document[field] = value
    facts.write_text(json.dumps(document))
    before = open_descriptors()
    with pytest.raises(StockadeError) as error:
        Checkpoint.load(saved)
    assert "\n" not in str(error.value)
    assert open_descriptors() <= before


@pytest.mark.parametrize("runs", [[5, 1, 9, 2, 7], [5, 3], [5, 4], [5, 1, 9, 1], [1 << 64, 3]])
def test_runs_that_are_not_of_its_pages_are_one_error(
    checkpoint: Checkpoint, tmp_path: Path, runs: list[int]
) -> None:
    """Also where whoever wrote it knew how to sum it up."""
    if max(runs) < 1 << 64:
        pages = Pages(array("Q", runs), checkpoint.pages.fd)
        Checkpoint(checkpoint.origin, b"s", pages, ()).save(tmp_path / "odd")
    else:
        checkpoint.save(tmp_path / "odd")
        facts = tmp_path / "odd" / "checkpoint.json"
        facts.write_text(facts.read_text().replace("[5, 1, 9, 2]", str(runs)))
    if runs == [5, 3]:
        Checkpoint.load(tmp_path / "odd").close()
        return
    with pytest.raises(StockadeError, match="damaged"):
        Checkpoint.load(tmp_path / "odd")


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "\xff", "[" * 100_000, '{"sums": {"state": 1}}']
)
def test_garbage_is_one_error(saved: Path, text: str) -> None:
    (saved / "checkpoint.json").write_text(text, encoding="latin-1")
    with pytest.raises(StockadeError, match="damaged") as error:
        Checkpoint.load(saved)
    assert "\n" not in str(error.value)
    assert describe(saved) in (None, {}, {"sums": {"state": 1}})


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StockadeError, match="there is no checkpoint in"):
        Checkpoint.load(tmp_path / "none")
    assert describe(tmp_path / "none") is None


def test_it_is_described_without_being_read(saved: Path) -> None:
    for name in _FILES - {"checkpoint.json"}:
        (saved / name).unlink()
    found = describe(saved)
    assert found
    assert (found["machine"], found["template"], found["taken"]) == ("00112233", "ab" * 32, 1234.5)


@pytest.mark.parametrize("taken", ["name", "file", "folder"])
def test_a_place_that_is_taken_is_one_error_and_nothing_is_left(
    checkpoint: Checkpoint, tmp_path: Path, taken: str
) -> None:
    folder = tmp_path / "home" / "one"
    if taken == "name":
        checkpoint.save(folder)
    elif taken == "file":
        (tmp_path / "home").touch()
    else:
        folder.mkdir(parents=True)
        (folder / "precious").write_text("kept")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StockadeError, match="cannot save a checkpoint in") as error:
        checkpoint.save(folder)
    assert error.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_one_error_and_nothing_is_left(
    on_a_small_disk: Callable[..., str],
) -> None:
    said = on_a_small_disk(_SAVE, "plain")
    assert "cannot save a checkpoint in" in said
    assert "No space left on device" in said
    assert said.splitlines()[-1] == "[]"


def test_a_save_that_is_interrupted_leaves_nothing(on_a_small_disk: Callable[..., str]) -> None:
    """By Ctrl-C, or by anything else that is no error of the disk."""
    said = on_a_small_disk(_SAVE, "interrupt")
    assert said.splitlines() == ["KeyboardInterrupt", "[]"]


_SAVE = """
import os, sys
from array import array
from pathlib import Path
from stockade.model.profile import Profile
from stockade.sandbox import checkpoint
from stockade.sandbox.ram import Pages
fd = os.memfd_create("pages")
os.truncate(fd, 1 << 22)
home = Path(sys.argv[1])
made = checkpoint.Checkpoint(
    checkpoint.Origin("m", Profile(), "t", "r", 0.0), b"state", Pages(array("Q", [0, 1024]), fd), ()
)
if sys.argv[2] == "interrupt":
    def content(fd):
        yield b"x"
        raise KeyboardInterrupt
    checkpoint._content = content
try:
    made.save(home / "one")
except BaseException as error:
    print(str(error) or type(error).__name__)
print([path.name for path in home.iterdir()])
"""
