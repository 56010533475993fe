from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.model.errors import StockadeError
from stockade.sandbox import registry
from stockade.sandbox.registry import Record, folder_of, machines, start_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY_PID = 1 << 22  # the kernel gives out ids below it (PID_MAX_LIMIT)


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "stockade" / "machines"


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def _record(pid: int, machine: str = "", **more: Any) -> Record:
    made = Record(
        id=machine or registry.new_id(),
        pid=pid,
        ticks=start_ticks(pid),
        owner=os.getpid(),
        backend="qemu-microvm",
        image="debian-python",
        profile="default",
        command=["python3"],
        started=1.5,
    )
    return replace(made, **more)


def test_what_is_written_is_listed(victim: subprocess.Popen[bytes]) -> None:
    record = _record(victim.pid, command=["a b", "\udcff", "\n"])
    registry.write(record)
    assert machines() == [record]
    assert record.age > 0


def test_the_oldest_machine_comes_first(victim: subprocess.Popen[bytes]) -> None:
    for machine, started in (("b", 2.0), ("a", 3.0), ("c", 1)):
        registry.write(_record(victim.pid, machine, started=started))
    assert [record.id for record in machines()] == ["c", "b", "a"]


def test_nothing_is_listed_before_anything_was_started() -> None:
    assert machines() == []


def test_records_are_nobody_elses_business(victim: subprocess.Popen[bytes]) -> None:
    record = _record(victim.pid)
    registry.write(record)
    assert stat.S_IMODE(folder_of(record.id).stat().st_mode) == 0o700
    # An older record may be replaced at any moment; a half-written one is never seen.
    registry.write(replace(record, started=2.0))
    assert [path.name for path in folder_of(record.id).iterdir()] == ["record.json"]


def test_a_forgotten_machine_is_gone(victim: subprocess.Popen[bytes]) -> None:
    record = _record(victim.pid)
    registry.write(record)
    for _ in range(2):
        registry.forget(record.id)
        assert machines() == []
    assert not folder_of(record.id).exists()


def test_ids_are_short_and_different() -> None:
    ids = {registry.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(name) for name in ids} == {8}


def test_a_record_of_a_dead_process_does_not_count(victim: subprocess.Popen[bytes]) -> None:
    registry.write(_record(victim.pid))
    victim.kill()
    victim.wait()
    assert machines() == []


def test_nor_does_one_of_a_zombie(victim: subprocess.Popen[bytes]) -> None:
    record = _record(victim.pid)
    registry.write(record)
    victim.kill()
    os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet collected
    assert not record.alive
    assert machines() == []


def test_another_process_with_the_same_id_is_not_taken_for_it(
    victim: subprocess.Popen[bytes],
) -> None:
    record = _record(victim.pid)
    registry.write(replace(record, ticks=record.ticks - 1))
    assert machines() == []
    with pytest.raises(StockadeError, match="no machine"):
        registry.kill(record.id)
    assert victim.poll() is None


def test_a_machine_that_had_ended_when_it_was_written_down_never_lives() -> None:
    """No start time was known then, and none is known now: that is not the same machine."""
    record = _record(_NOBODY_PID)
    assert record.ticks == 0
    registry.write(record)
    assert not record.alive
    assert machines() == []


@pytest.mark.parametrize("name", [")", "a) R 1 1", "\n", "x y"])
def test_a_process_may_have_any_name(tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process, ExitStack() as stack:
        stack.callback(process.kill)
        assert start_ticks(process.pid) >= start_ticks(os.getpid())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        '"x"',
        "\xff\xfe",
        "[" * 100_000,
        '{"id": "x"}',
        "\0" * 100,
    ],
)
def test_garbage_is_passed_over(base: Path, victim: subprocess.Popen[bytes], text: str) -> None:
    good = _record(victim.pid)
    registry.write(good)
    (base / "broken").mkdir()
    (base / "broken" / "record.json").write_text(text, encoding="latin-1")
    assert machines() == [good]


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"owner": None},
        {"pid": "self"},
        {"pid": -1},
        {"pid": None},
        {"pid": 1.5},
        {"pid": True},
        {"pid": 10**30},
        {"ticks": 0, "pid": _NOBODY_PID},
        {"ticks": "1"},
        {"started": "yesterday"},
        {"started": None},
        {"command": "ls"},
        {"command": [1]},
        {"id": "../../../etc"},
        {"id": "another"},
        {"id": 7},
        {"image": ["x"]},
    ],
)
def test_a_record_with_values_that_cannot_be_is_passed_over(
    base: Path, victim: subprocess.Popen[bytes], change: dict[str, object]
) -> None:
    good = _record(victim.pid, "good")
    registry.write(good)
    bad = _record(os.getpid(), "bad")
    (base / "bad").mkdir()
    (base / "bad" / "record.json").write_text(json.dumps({**asdict(bad), **change}))
    assert machines() == [good]


def test_strange_files_are_passed_over(base: Path, victim: subprocess.Popen[bytes]) -> None:
    good = _record(victim.pid)
    registry.write(good)
    (base / "file").touch()
    (base / "empty").mkdir()
    (base / "folder" / "record.json").mkdir(parents=True)
    (base / "dangling").symlink_to("nowhere")
    assert machines() == [good]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(fields=st.fixed_dictionaries({}, optional=dict.fromkeys(Record.__dataclass_fields__, _JSON)))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_record_stops_the_list(base: Path, fields: dict[str, object]) -> None:
    (base / "odd").mkdir(parents=True, exist_ok=True)
    whole = {**asdict(_record(os.getpid(), "odd")), **fields}
    (base / "odd" / "record.json").write_text(json.dumps(whole))
    for record in machines():
        assert record.id == "odd"
        assert record.age >= 0


def test_a_unique_prefix_names_the_machine_to_kill(victim: subprocess.Popen[bytes]) -> None:
    registry.write(_record(victim.pid, "aa11"))
    with subprocess.Popen(["sleep", "600"]) as other, ExitStack() as stack:
        stack.callback(other.kill)
        registry.write(_record(other.pid, "aa22"))
        with pytest.raises(StockadeError, match="more than one machine has the id 'aa'"):
            registry.kill("aa")
        for none in ("b", "aa111", "*", ""):
            with pytest.raises(StockadeError, match="machine"):
                registry.kill(none)
        assert registry.kill("aa2").id == "aa22"
        assert other.wait(10) == -signal.SIGKILL
    assert registry.was_killed("aa22")
    assert not registry.was_killed("aa11")
    assert victim.poll() is None


def test_a_machine_that_ends_before_the_blow_is_no_error(
    victim: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = _record(victim.pid)
    registry.write(record)
    touch = Path.touch

    def end_first(path: Path) -> None:
        victim.kill()
        victim.wait()
        touch(path)

    monkeypatch.setattr(Path, "touch", end_first)
    assert registry.kill(record.id) == record


def test_whether_one_is_paused_is_noted_where_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for paused in (True, False):
        registry.mark_paused("aabb", paused=paused)
        assert not registry.is_paused("aabb")
    registry.folder_of("aabb").mkdir(parents=True)
    for paused in (True, True, False, False):
        registry.mark_paused("aabb", paused=paused)
        assert registry.is_paused("aabb") is paused
    registry.mark_paused("aabb", paused=True)
    registry.forget("aabb")
    assert not registry.is_paused("aabb")
