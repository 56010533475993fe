from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stockade.sandbox import housekeeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Eventually = Callable[[Callable[[], object], str], None]

# Watches the folders named, forgets the last of them, and says who cleans up; then waits.
_STOCKADE = """
import sys
from pathlib import Path
from stockade.sandbox import housekeeping
paths = [Path(word) for word in sys.argv[1:]]
housekeeping.watch(*paths)
housekeeping.forget(paths[-1])
print(housekeeping._running.pid, flush=True)
sys.stdin.read()
"""


class _Process:
    """A process with machines, and its janitor."""

    def __init__(self, *paths: Path) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", _STOCKADE, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.popen.stdout
        self.janitor = int(self.popen.stdout.readline())


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "watched\nover", tmp_path / "watched", tmp_path / "forgotten"]
    for path in made:
        path.mkdir()
    return made


@pytest.fixture
def process(folders: list[Path]) -> Iterator[_Process]:
    made = _Process(*folders)
    with made.popen:
        yield made
        made.popen.kill()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_a_killed_process_leaves_is_removed(
    process: _Process, folders: list[Path], number: signal.Signals, eventually: Eventually
) -> None:
    process.popen.send_signal(number)
    process.popen.communicate()
    eventually(lambda: not folders[0].exists() and not folders[1].exists(), "the folders to go")
    assert folders[2].exists()


def test_a_process_that_ends_by_itself_waits_for_its_janitor(
    process: _Process, folders: list[Path]
) -> None:
    process.popen.communicate(timeout=30)
    assert process.popen.returncode == 0
    assert [path.exists() for path in folders] == [False, False, True]
    assert not _alive(process.janitor)


@pytest.fixture
def own_janitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the one alone that looks after the machine which other tests share."""
    monkeypatch.setattr(housekeeping, "_running", None)


@pytest.mark.usefixtures("own_janitor")
def test_a_janitor_that_was_killed_is_replaced(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    housekeeping.watch(one)
    first = housekeeping._running
    assert first
    assert first.poll() is None
    first.kill()
    first.wait()
    housekeeping.watch(two)
    second = housekeeping._running
    assert second
    assert second.pid != first.pid
    assert second.poll() is None
    housekeeping.forget(one, two)
    # The word to the first one that it never got is nobody's concern any more.
    assert first.stdin
    first.stdin.close()


def test_one_janitor_serves_all_machines_of_a_process(tmp_path: Path) -> None:
    housekeeping.watch(tmp_path / "one")
    first = housekeeping._running
    housekeeping.watch(tmp_path / "two")
    assert housekeeping._running is first
    housekeeping.forget(tmp_path / "one", tmp_path / "two")


def test_the_janitor_holds_nothing_of_this_process(tmp_path: Path) -> None:
    housekeeping.watch(tmp_path / "one")
    housekeeping.forget(tmp_path / "one")
    running = housekeeping._running
    assert running
    assert os.getsid(running.pid) != os.getsid(0)  # Ctrl-C is not for it
    assert Path(f"/proc/{running.pid}/environ").read_bytes() == b""
