"""The janitor as it runs: a process of its own, with nothing but a pipe and what it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stockade.sandbox import janitor
from stockade.sandbox.cgroups import Ceiling, Hierarchy, find_hierarchy

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 30.0


@pytest.fixture
def running() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", janitor.__file__], stdin=subprocess.PIPE, env={}
    ) as process:
        yield process
        process.kill()


def _finish(running: subprocess.Popen[bytes], said: bytes) -> None:
    """Say the last of it and wait for what comes of it."""
    running.communicate(said, timeout=_PATIENCE)
    assert running.returncode == 0


def _watch(*paths: Path) -> bytes:
    return b"".join(b"+%b\0" % bytes(path) for path in paths)


def _forget(*paths: Path) -> bytes:
    return b"".join(b"-%b\0" % bytes(path) for path in paths)


def _folder(path: Path) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").touch()
    return path


def test_what_is_watched_goes_when_the_pipe_closes(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    gone, kept = _folder(tmp_path / "gone"), _folder(tmp_path / "kept")
    _finish(running, _watch(gone, kept) + _forget(kept) + _forget(tmp_path / "never told"))
    assert sorted(tmp_path.iterdir()) == [kept]


def test_what_is_watched_again_goes(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    again = _folder(tmp_path / "again")
    _finish(running, _watch(again) + _forget(again) + _watch(again))
    assert list(tmp_path.iterdir()) == []


def test_what_was_never_made_is_no_reason_to_wait(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    _finish(running, _watch(tmp_path / "none"))


@pytest.mark.parametrize("name", [b"new\nline", b"\n+x", b"\xff\xfe", b" ", b"x "])
def test_a_path_may_hold_any_bytes(
    running: subprocess.Popen[bytes], tmp_path: Path, name: bytes
) -> None:
    """A path cut in two at its newline would name another folder, and that one would go."""
    odd = _folder(tmp_path / "x" / os.fsdecode(name))
    before = tmp_path / "x" / os.fsdecode(name.partition(b"\n")[0])
    if before != odd:
        before.mkdir(exist_ok=True)
    _finish(running, _watch(odd))
    assert not odd.exists()
    assert before == odd or before.exists()


def test_an_order_cut_off_by_the_death_of_its_writer_is_no_order(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """Half a path is the path of something else."""
    whole = _folder(tmp_path / "whole")
    _folder(tmp_path / "base" / "machine")
    _finish(running, _watch(whole) + _watch(tmp_path / "base" / "machine")[: -len("/machine") - 1])
    assert list(tmp_path.iterdir()) == [tmp_path / "base"]
    assert (tmp_path / "base" / "machine" / "inner" / "file").exists()


def test_a_link_in_a_folders_place_is_not_followed(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    target = _folder(tmp_path / "target")
    (_folder(tmp_path / "watched") / "link").symlink_to(target)
    _finish(running, _watch(tmp_path / "watched"))
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "inner" / "file").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_of_a_terminal_do_not_keep_it_from_its_work(
    running: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    watched = _folder(tmp_path / "watched")
    assert running.stdin
    running.stdin.write(_watch(watched))
    running.stdin.flush()
    status = Path(f"/proc/{running.pid}/status")
    while True:  # until it has come as far as to ignore them
        ignored = status.read_text().partition("SigIgn:")[2].split()[0]
        if int(ignored, 16) & (1 << (number - 1)):
            break
        os.sched_yield()
    running.send_signal(number)
    _finish(running, b"")
    assert not watched.exists()


def test_a_group_goes_with_what_still_runs_in_it(running: subprocess.Popen[bytes]) -> None:
    hierarchy = find_hierarchy()
    if hierarchy.missing:
        pytest.skip(f"no cgroup here for {', '.join(hierarchy.missing)}")
    group = Hierarchy(hierarchy.version, hierarchy.parents).create(
        f"stockade-test-{os.getpid()}", Ceiling(memory=1 << 28, cpus=1, tasks=10)
    )
    with subprocess.Popen(["sleep", "600"]) as member, ExitStack() as stack:
        stack.callback(member.kill)
        for entrance in group.entrances:
            entrance.write_text(str(member.pid))
        _finish(running, _watch(*group.folders))
        assert member.wait(_PATIENCE) == -signal.SIGKILL
    assert not any(folder.exists() for folder in group.folders)
