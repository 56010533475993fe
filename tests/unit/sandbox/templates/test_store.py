from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.templates import store as module
from stockade.sandbox.templates.store import (
    DamagedError,
    Facts,
    Template,
    TemplateStore,
    check,
    checksum,
    write_facts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = 1 << 20
_PAGE = 4096
_FACTS = Facts(image="i", digest="d" * 64, cpus=1, memory=_SIZE, slots=4, created=1000.0)


@pytest.fixture
def store(tmp_path: Path) -> TemplateStore:
    return TemplateStore(Cache(tmp_path / "cache"))


def _make(folder: Path, facts: Facts = _FACTS) -> Path:
    """Write what a template is: memory that is mostly holes, and a state."""
    folder.mkdir(parents=True)
    with (folder / "ram").open("wb") as file:
        file.truncate(facts.memory)
        for place in (0, 3 * _PAGE, facts.memory - _PAGE):
            file.seek(place)
            file.write(os.urandom(_PAGE))
    (folder / "state").write_bytes(os.urandom(5000))
    write_facts(folder, facts)
    return folder


@pytest.fixture
def publish(store: TemplateStore, tmp_path: Path) -> Callable[..., Template]:
    def make(key: str = "aa11", **changes: object) -> Template:
        made = _make(tmp_path / "making" / key, replace(_FACTS, **changes))  # type: ignore[arg-type]
        return store.publish(made, key)

    return make


def test_what_is_published_is_found(store: TemplateStore, publish: Callable[..., Template]) -> None:
    assert store.find("aa11") is None
    assert store.all() == []
    made = publish()
    found = store.find("aa11")
    assert found == made
    assert found
    assert (found.key, found.folder) == ("aa11", store.root / "aa11")
    assert replace(found.facts, sums={}) == _FACTS
    assert set(found.facts.sums) == {"ram", "state"}
    (entry,) = store.all()
    assert (entry.key, entry.facts, entry.damage) == ("aa11", found.facts, "")
    assert 3 * _PAGE <= entry.size < _SIZE
    assert store.find("aa") is None


def test_what_is_held_stays_what_was_checked(
    store: TemplateStore, publish: Callable[..., Template]
) -> None:
    made = publish()
    ram, state = made.ram.read_bytes(), made.state.read_bytes()
    with ExitStack() as owned:
        held = store.find("aa11", owned)
        assert held == made
        for name in ("ram", "state"):  # others, in their place
            (made.folder / f"{name}.new").write_bytes(b"other" * 1000)
            (made.folder / f"{name}.new").replace(made.folder / name)
        assert (held.ram.read_bytes(), held.state.read_bytes()) == (ram, state)
        check(held)
        shutil.rmtree(made.folder)
        assert (held.ram.read_bytes(), held.state.read_bytes()) == (ram, state)
        assert held.held
    for fd in held.held:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_what_takes_the_place_of_one_before_it_is_held_is_checked(
    store: TemplateStore, publish: Callable[..., Template], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publish()
    hold = Template.hold

    def swapped(self: Template, owned: ExitStack) -> Template:
        (made.folder / "new").write_bytes(b"x" * _SIZE)
        (made.folder / "new").replace(made.folder / "ram")
        return hold(self, owned)

    monkeypatch.setattr(Template, "hold", swapped)
    with ExitStack() as owned, pytest.raises(DamagedError, match="not what was saved"):
        store.find("aa11", owned)


def test_nobody_else_can_reach_one(store: TemplateStore, publish: Callable[..., Template]) -> None:
    """The jail's user must be able to open the memory, so its folders keep the others out."""
    publish()
    assert store.root.stat().st_mode & 0o077 == 0


def test_the_same_key_again_takes_the_others_place(
    store: TemplateStore, publish: Callable[..., Template]
) -> None:
    publish(created=1.0)
    with (store.root / "aa11" / "ram").open("rb") as held:
        second = publish(created=2.0)
        assert [entry.facts for entry in store.all()] == [second.facts]
        assert len(held.read()) == _SIZE  # as a machine that runs has it


def test_they_are_listed_oldest_first_and_damaged_ones_are_marked(
    store: TemplateStore, publish: Callable[..., Template]
) -> None:
    for number, key in enumerate(["bb", "aa", "cc"]):
        publish(key, created=float(number + 1))
    _flip(publish("ff", created=9.0).ram)
    (store.root / "dd").mkdir()
    (store.root / "a file").touch()
    publish("ee")
    (store.root / "ee" / "template.json").write_text("{")
    entries = store.all()
    assert [entry.key for entry in entries if entry.facts] == ["bb", "aa", "cc", "ff"]
    damage = {entry.key: entry.damage for entry in entries if entry.damage}
    assert damage.keys() == {"dd", "ee", "ff"}
    assert all(text.isprintable() for text in damage.values())
    for key in damage:
        assert [entry.key for entry in store.remove(key)] == [key]
    assert [entry.damage for entry in store.all()] == ["", "", ""]


def test_the_ones_used_longest_ago_go_first(
    store: TemplateStore, publish: Callable[..., Template]
) -> None:
    keys = [f"k{number}" for number in range(module._KEPT)]
    for number, key in enumerate(keys):
        publish(key)
        os.utime(store.root / key / "template.json", (number, number))
    store.find("k0")  # using it makes it the latest
    publish("new")
    assert {path.name for path in store.root.iterdir()} == {*keys, "new"} - {"k1"}
    assert store.find("k0")


def test_the_spared_ones_stay(store: TemplateStore, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(module._KEPT + 2)]
    for number, key in enumerate(keys):
        store.publish(_make(tmp_path / key), key, spare={"k0", "gone"})
        os.utime(store.root / key / "template.json", (number, number))
    assert {path.name for path in store.root.iterdir()} == {"k0", *keys[-module._KEPT :]}


def test_what_is_no_template_goes_before_any_that_is(
    store: TemplateStore, publish: Callable[..., Template]
) -> None:
    keys = [f"k{number}" for number in range(module._KEPT - 1)]
    for key in keys:
        publish(key)
    (store.root / "litter").mkdir()
    publish("new")
    assert {path.name for path in store.root.iterdir()} == {*keys, "new"}


def test_removing_goes_by_a_prefix(store: TemplateStore, publish: Callable[..., Template]) -> None:
    for key in ("aa11", "aa22", "bb33"):
        publish(key)
    for nothing in ("", "cc", "aa111"):
        with pytest.raises(ImageError, match="no template") as error:
            store.remove(nothing)
        assert error.value.hint
    assert {entry.key for entry in store.remove("aa")} == {"aa11", "aa22"}
    assert [entry.key for entry in store.all()] == ["bb33"]
    assert {path.name for path in store.root.iterdir()} == {"bb33"}


def test_discarding_needs_nothing_to_be_sound(
    store: TemplateStore, publish: Callable[..., Template]
) -> None:
    publish()
    (store.root / "aa11" / "template.json").unlink()
    for _ in range(2):
        store.discard("aa11")
        assert list(store.root.iterdir()) == []


# Damage.


def _flip(path: Path, place: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def _fill(path: Path, place: int) -> None:
    """Write where there was a hole; zeros are what it read as."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(_PAGE))


def _cut(path: Path, *sizes: int) -> None:
    for size in sizes:
        os.truncate(path, size)


def _lose(path: Path, *, then: Callable[[Path], object] = lambda _: None) -> None:
    """Remove a file or folder, and perhaps put something else there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    then(path)


def _swap(folder: Path) -> None:
    for old, new in (("ram", "x"), ("state", "ram"), ("x", "state")):
        (folder / old).rename(folder / new)


_DAMAGES: dict[str, Callable[[Path], None]] = {
    "first bit of the memory": lambda folder: _flip(folder / "ram"),
    "last bit of the memory": lambda folder: _flip(folder / "ram", _SIZE - 1),
    "a bit in a hole": lambda folder: _flip(folder / "ram", 9 * _PAGE),
    "zeros in a hole": lambda folder: _fill(folder / "ram", 9 * _PAGE),
    "memory cut": lambda folder: _cut(folder / "ram", _SIZE - _PAGE),
    "memory grown": lambda folder: _cut(folder / "ram", _SIZE + _PAGE),
    "memory cut and grown": lambda folder: _cut(folder / "ram", _SIZE - _PAGE, _SIZE),
    "memory emptied": lambda folder: _cut(folder / "ram", 0, _SIZE),
    "no memory": lambda folder: _lose(folder / "ram"),
    "memory is a folder": lambda folder: _lose(folder / "ram", then=Path.mkdir),
    "a bit of the state": lambda folder: _flip(folder / "state", 2500),
    "state cut": lambda folder: _cut(folder / "state", 4999),
    "state grown": lambda folder: _cut(folder / "state", 5001),
    "no state": lambda folder: _lose(folder / "state"),
    "state and memory swapped": _swap,
    "no facts": lambda folder: _lose(folder / "template.json"),
    "facts are a folder": lambda folder: _lose(folder / "template.json", then=Path.mkdir),
    "an empty folder": lambda folder: _lose(folder, then=Path.mkdir),
    "a file in its place": lambda folder: _lose(folder, then=Path.touch),
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_damage_is_found_and_said_in_one_line(
    store: TemplateStore, publish: Callable[..., Template], damage: str
) -> None:
    made = publish()
    assert store.find("aa11")
    _DAMAGES[damage](made.folder)
    with pytest.raises(DamagedError) as error:
        store.find("aa11")
    assert str(error.value).isprintable()
    # It can be put right by whoever finds it.
    store.discard("aa11")
    publish()
    assert store.find("aa11")


_WRONG: list[object] = [None, 0, "x", [], {}, [1], {"ram": 1}, {"ram": None}, -1.5]


@pytest.mark.parametrize("name", ["image", "digest", "cpus", "slots", "created", "sums", "memory"])
@pytest.mark.parametrize("value", _WRONG)
def test_facts_of_another_kind_spoil_no_list_and_may_be_damage(
    store: TemplateStore, publish: Callable[..., Template], name: str, value: object
) -> None:
    publish("sound")
    made = publish()
    document = {**asdict(made.facts), name: value}
    (made.folder / "template.json").write_text(json.dumps(document))
    assert "sound" in {entry.key for entry in store.all()}
    if name in {"memory", "sums"}:
        with pytest.raises(DamagedError):
            store.find("aa11")


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '"x"', "{", "\xff\xfe", "[" * 100_000, '{"a": 1}', "\0" * 4096]
)
def test_facts_that_are_none_are_damage(
    store: TemplateStore, publish: Callable[..., Template], text: str
) -> None:
    publish("sound", created=0.0)
    made = publish()
    (made.folder / "template.json").write_text(text, encoding="latin-1")
    with pytest.raises(DamagedError) as error:
        store.find("aa11")
    assert str(error.value).isprintable()
    assert [entry.key for entry in store.all() if not entry.damage] == ["sound"]


# What spares reading the memory each time.


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the names of the files that were read in full."""
    found: list[str] = []

    def spy(path: Path) -> str:
        found.append(path.name)
        return checksum(path)

    monkeypatch.setattr(module, "checksum", spy)
    return found


def test_memory_is_read_once_and_the_state_each_time(
    store: TemplateStore, publish: Callable[..., Template], read: list[str]
) -> None:
    publish()
    read.clear()
    for _ in range(3):
        store.find("aa11")
    assert read == ["state"] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: os.utime(folder / "ram"),
        lambda folder: (folder / "ram").chmod(0o600),
        lambda folder: _flip_and_back(folder / "ram"),
        lambda folder: (
            shutil.copy2(folder / "ram", folder / "x") and (folder / "x").replace(folder / "ram")
        ),
        lambda folder: (folder / "verified.json").unlink(),
        lambda folder: (folder / "verified.json").write_text("null"),
        lambda folder: (folder / "verified.json").write_text("["),
        lambda folder: (folder / "verified.json").write_text("[" * 100_000),
        lambda folder: (folder / "verified.json").write_bytes(b"\xff"),
        lambda folder: _of_another_boot(folder / "verified.json"),
    ],
    ids=["time", "mode", "written", "replaced", "none", "null", "cut", "deep", "bytes", "boot"],
)
def test_after_any_sign_of_change_memory_is_read_again(
    store: TemplateStore,
    publish: Callable[..., Template],
    read: list[str],
    change: Callable[[Path], object],
) -> None:
    folder = publish().folder
    change(folder)
    read.clear()
    if (folder / "ram").stat().st_blocks * 512 < _SIZE:  # a copy has lost its holes
        assert store.find("aa11")
        assert store.find("aa11")
        assert read == ["ram", "state", "state"]
    else:
        with pytest.raises(DamagedError):
            store.find("aa11")
        assert read == ["ram"]


def _flip_and_back(path: Path) -> None:
    for _ in range(2):
        _flip(path, 5)


def _of_another_boot(path: Path) -> None:
    noted = json.loads(path.read_text())
    noted["boot"] = "00000000-0000-0000-0000-000000000000"
    path.write_text(json.dumps(noted))


def test_memory_that_was_changed_keeps_no_time_that_hides_it(
    store: TemplateStore, publish: Callable[..., Template]
) -> None:
    made = publish()
    before = made.ram.stat()
    _flip(made.ram)
    os.utime(made.ram, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(3):  # and is never noted as sound
        with pytest.raises(DamagedError, match="not what was saved"):
            store.find("aa11")


def test_a_folder_that_cannot_be_written_is_only_read_again(
    ordinarily: Callable[..., str], publish: Callable[..., Template]
) -> None:
    made = publish()
    (made.folder / "verified.json").unlink()
    for path in (made.folder, *made.folder.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o005)
    made.folder.chmod(0o555)
    made.ram.chmod(0o666)
    code = """
import sys
from pathlib import Path
from stockade.sandbox.templates.store import Template, Facts, check
import json
folder = Path(sys.argv[1])
check(Template(folder, Facts(**json.loads((folder / "template.json").read_text()))))
print(sorted(path.name for path in folder.iterdir()))
"""
    assert ordinarily(code, made.folder) == "['ram', 'state', 'template.json']\n"


# The checksum.


@given(
    writes=st.lists(st.tuples(st.integers(0, 15), st.binary(min_size=1, max_size=9)), max_size=6),
    other=st.lists(st.tuples(st.integers(0, 15), st.binary(min_size=1, max_size=9)), max_size=6),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_equal_sums_are_equal_files(
    tmp_path: Path, writes: list[tuple[int, bytes]], other: list[tuple[int, bytes]]
) -> None:
    contents = []
    for name, parts in (("one", writes), ("other", other)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(16 * _PAGE)
            for page, data in parts:
                file.seek(page * _PAGE)
                file.write(data)
        contents.append((tmp_path / name).read_bytes())
    sums = [checksum(tmp_path / name) for name in ("one", "other")]
    assert sums[0] == checksum(tmp_path / "one")
    if contents[0] != contents[1]:
        assert sums[0] != sums[1]
    elif {page for page, _ in writes} == {page for page, _ in other}:
        assert sums[0] == sums[1]


def test_content_that_moves_between_holes_changes_the_sum(tmp_path: Path) -> None:
    """The bytes that are read are the same; only where they are is not."""
    sums = set()
    for number, place in enumerate((0, 1, 2, 14, 15)):
        with (tmp_path / str(number)).open("wb") as file:
            file.truncate(16 * _PAGE)
            file.seek(place * _PAGE)
            file.write(b"x" * _PAGE)
        sums.add(checksum(tmp_path / str(number)))
    assert len(sums) == 5


def test_any_bit_and_any_size_changes_the_sum(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(200))
    sums = {checksum(path)}
    for place in range(200):
        _flip(path, place)
        sums.add(checksum(path))
        _flip(path, place)
    for size in (0, 1, 199, 201, 3_000_000):
        os.truncate(path, size)
        sums.add(checksum(path))
    assert len(sums) == 206


def test_files_larger_than_one_read_are_summed_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom((2 << 20) + 7))
    before = checksum(path)
    _flip(path, (2 << 20) + 6)
    assert checksum(path) != before


def test_holes_take_no_time(tmp_path: Path) -> None:
    """Eight terabytes of them: whoever read them would not come back."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(8 << 40)
    assert len(checksum(path)) == 64


def test_check_is_for_templates_elsewhere_too(tmp_path: Path) -> None:
    folder = _make(tmp_path / "made")
    facts = Facts(**json.loads((folder / "template.json").read_text()))
    check(Template(folder, facts))
    with pytest.raises(DamagedError, match="another size"):
        check(Template(folder, replace(facts, memory=_SIZE * 2)))
