from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stockade.sandbox.cgroups import Ceiling, Group, Hierarchy, find_hierarchy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MIB = 1 << 20
_CEILING = Ceiling(memory=64 * _MIB, cpus=1.5, tasks=20)

# Enters the groups named and only then does something.
_ENTER = """
import os, sys
for path in sys.argv[1].split(":"):
    with open(path, "w") as file:
        file.write("0")
exec(sys.argv[2])
"""
_FORK_BOMB = """
import signal
children = []
try:
    while len(children) < 1000:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
except BlockingIOError:
    print(len(children))
for pid in children:
    os.kill(pid, signal.SIGKILL)
"""


def _name() -> str:
    return f"stockade-test-{os.getpid()}"


@pytest.fixture
def hierarchy() -> Hierarchy:
    """What this host has; every test that asks for it makes real groups."""
    found = find_hierarchy()
    if found.missing:
        pytest.skip(f"no cgroup can be made here for {', '.join(found.missing)}")
    return found


@pytest.fixture
def group(hierarchy: Hierarchy) -> Iterator[Group]:
    made = hierarchy.create(_name(), _CEILING)
    yield made
    made.remove()


def _run(group: Group, program: str) -> subprocess.CompletedProcess[bytes]:
    entrances = ":".join(map(str, group.entrances))
    argv = [sys.executable, "-c", _ENTER, entrances, program]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False)


def test_a_group_takes_processes_and_is_gone_after_the_last(
    hierarchy: Hierarchy, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    group = hierarchy.create(_name(), _CEILING)
    with subprocess.Popen(["sleep", "600"]) as member, ExitStack() as stack:
        stack.callback(member.kill)
        for entrance in group.entrances:
            entrance.write_text(str(member.pid))
        assert _name() in Path(f"/proc/{member.pid}/cgroup").read_text()
        group.remove()  # not yet: it would leave the member without limits
        assert all(folder.is_dir() for folder in group.folders)

    def gone() -> bool:
        group.remove()
        return not any(folder.exists() for folder in group.folders)

    eventually(gone, "the group to be empty")
    group.remove()


def test_the_ceilings_are_set(hierarchy: Hierarchy, group: Group) -> None:
    def read(controller: str, file: str) -> str:
        return (hierarchy.parents[controller] / _name() / file).read_text().strip()

    assert read("pids", "pids.max") == "20"
    if hierarchy.version == 2:
        assert read("memory", "memory.max") == str(64 * _MIB)
        assert read("cpu", "cpu.max") == "150000 100000"
    else:
        assert read("memory", "memory.limit_in_bytes") == str(64 * _MIB)
        assert read("cpu", "cpu.cfs_quota_us") == "150000"


def test_a_fork_bomb_ends_at_the_ceiling(group: Group) -> None:
    done = _run(group, _FORK_BOMB)
    assert int(done.stdout) <= 19


def test_what_takes_too_much_memory_is_killed(group: Group) -> None:
    if len(Path("/proc/swaps").read_text().splitlines()) > 1:
        pytest.skip("here it may be swapped out instead")
    done = _run(group, f"x = bytearray({200 * _MIB}); print('survived')")
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b""


def test_two_groups_cannot_have_one_name(hierarchy: Hierarchy, group: Group) -> None:
    with pytest.raises(FileExistsError):
        hierarchy.create(_name(), _CEILING)
    # The other's stays, although it is empty still.
    assert all(folder.is_dir() for folder in group.folders)


def test_a_hierarchy_is_found_only_where_groups_can_be_made() -> None:
    found = find_hierarchy()
    assert found.version in (1, 2)
    assert sorted({"memory", "cpu", "pids"} - found.parents.keys()) == found.missing
    for parent in found.parents.values():
        assert os.access(parent, os.W_OK)


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            2,
            {
                "all/m/memory.max": "67108864",
                "all/m/memory.oom.group": "1",
                "all/m/cpu.max": "150000 100000",
                "all/m/pids.max": "20",
            },
        ),
        (
            1,
            {
                "memory/m/memory.limit_in_bytes": "67108864",
                "cpu/m/cpu.cfs_quota_us": "150000",
                "pids/m/pids.max": "20",
            },
        ),
    ],
)
def test_each_version_has_its_own_files(
    tmp_path: Path, version: int, files: dict[str, str]
) -> None:
    """In plain folders, so that both are tested wherever this runs."""
    parents = {
        name: tmp_path / ("all" if version == 2 else name) for name in ("memory", "cpu", "pids")
    }
    for parent in parents.values():
        parent.mkdir(exist_ok=True)
    group = Hierarchy(version, parents).create("m", _CEILING)
    found = {
        str(path.relative_to(tmp_path)): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == files
    assert len(group.folders) == (1 if version == 2 else 3)
    assert {path.name for path in group.entrances} == {"cgroup.procs"}


def test_a_group_that_cannot_be_made_in_every_part_is_made_in_none(tmp_path: Path) -> None:
    parents = {"memory": tmp_path / "memory", "pids": tmp_path / "missing"}
    parents["memory"].mkdir()
    with pytest.raises(FileNotFoundError):
        Hierarchy(1, parents).create("m", _CEILING)
    assert list(parents["memory"].iterdir()) == []


def test_where_nothing_can_be_limited_the_group_is_empty() -> None:
    nowhere = Hierarchy(1)
    assert nowhere.missing == ["cpu", "memory", "pids"]
    group = nowhere.create("m", _CEILING)
    assert group.entrances == []
    group.remove()
