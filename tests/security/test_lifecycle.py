"""However a run ends, nothing of it is left: no process, no cgroup, no record, no file.

``STOCKADE_SOAK`` makes the tests that repeat do so that often: 200 is a good evening's work.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
import pytest

from stockade.model.errors import MachineError
from stockade.sandbox import registry
from stockade.sandbox.cgroups import find_hierarchy
from stockade.sandbox.sandbox import Sandbox

pytestmark = [pytest.mark.machine, pytest.mark.anyio]

_STOCKADE = str(Path(sys.executable).parent / "stockade")
_SOAK = int(os.environ.get("STOCKADE_SOAK", "0"))
_SEED = 20_261_124

Eventually = Callable[[Callable[[], object], str], None]


@dataclass
class Host:
    """A place of its own for runs, in which whatever they leave is found."""

    folder: Path
    eventually: Eventually
    before: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name in ("run", "tmp"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        self.before = self._groups()

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start ``stockade run``; it and all that descends from it carry a mark of this place."""
        return subprocess.Popen(
            [_STOCKADE, "run", "--", *command],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def records(self) -> list[dict[str, object]]:
        """The records of the machines that were started here."""
        found = []
        for path in (self.folder / "run").glob("stockade/machines/*/record.json"):
            with contextlib.suppress(OSError, ValueError):
                found.append(json.loads(path.read_text(encoding="utf-8")))
        return found

    def started(self) -> dict[str, object]:
        """Wait for the one machine to be up."""
        self.eventually(self.records, "the machine to be up")
        (record,) = self.records()
        return record

    def expect_nothing(self, *pids: int) -> None:
        """Check that no trace is left, after what time the kernel takes to end processes."""
        for pid in pids:
            self.eventually(lambda pid=pid: not _alive(pid), f"process {pid} to end")  # type: ignore[misc]
        self.eventually(lambda: not self._left(), "the last trace to go")
        self.eventually(lambda: self._groups() <= self.before, "the cgroups to go")

    def _left(self) -> list[Path]:
        return [
            *(self.folder / "run").glob("stockade/machines/*"),
            *(self.folder / "tmp").iterdir(),
        ]

    @staticmethod
    def _groups() -> set[str]:
        return {
            str(group)
            for parent in find_hierarchy().parents.values()
            for group in parent.glob("stockade-*")
        }


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _descendants(pid: int) -> Iterator[int]:
    """All processes below ``pid``, the janitor and the jail among them."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield int(child)
                yield from _descendants(int(child))


@pytest.fixture
def host(tmp_path: Path, eventually: Eventually) -> Host:
    return Host(tmp_path, eventually)


def test_kill_9_of_stockade_leaves_nothing(host: Host) -> None:
    with host.start("sleep", "1000") as process:
        record = host.started()
        family = list(_descendants(process.pid))
        assert record["pid"] in family
        process.kill()
    host.expect_nothing(*family)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_stockade_leaves_nothing(host: Host, number: signal.Signals) -> None:
    with host.start("sleep", "1000") as process:
        host.started()
        family = list(_descendants(process.pid))
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert said == b""
    host.expect_nothing(*family)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_at_any_moment_leaves_nothing(host: Host, number: signal.Signals) -> None:
    rng = Random(f"{_SEED} {number}")
    for _ in range(_SOAK or 5):
        with host.start("sleep", "1000") as process:
            # The moment is the point here, not what has happened by then: imports, locks, the
            # jail, the kernel, the command.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.0, 4.0))
            family = list(_descendants(process.pid))
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
        assert b"Traceback" not in said, said.decode()
        host.expect_nothing(*family)


def test_the_end_of_the_hypervisor_is_told(host: Host) -> None:
    with host.start("sleep", "1000") as process:
        family = list(_descendants(process.pid))
        record = host.started()
        os.kill(int(str(record["pid"])), signal.SIGKILL)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 125
    assert said.decode().splitlines() == ["stockade: the machine has ended"]
    host.expect_nothing(*family)


def test_runs_one_after_another_leave_nothing(host: Host) -> None:
    for number in range(_SOAK or 2):
        with host.start("sh", "-c", f"echo {number}; exit 3") as process:
            output, said = process.communicate(timeout=120)
        assert (process.returncode, output, said) == (3, f"{number}\n".encode(), b"")
        host.expect_nothing()


def test_eight_runs_at_once_leave_nothing(host: Host) -> None:
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(host.start("echo", str(number))) for number in range(8)]
        for number, process in enumerate(running):
            output, said = process.communicate(timeout=200)
            assert (process.returncode, output, said) == (0, f"{number}\n".encode(), b"")
    host.expect_nothing()


async def test_a_cancelled_start_leaves_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", host.env["XDG_RUNTIME_DIR"])
    rng = Random(_SEED)
    for _ in range(_SOAK or 3):
        box = Sandbox()
        with anyio.move_on_after(rng.uniform(0.0, 4.0)) as scope:
            async with box:
                await box.exec(["sleep", "1000"])
        assert scope.cancelled_caught
        family = [pid for pid in _descendants(os.getpid()) if _is_jail(pid, box.id)]
        host.expect_nothing(*family)


def _is_jail(pid: int, machine: str) -> bool:
    with contextlib.suppress(OSError):
        return f"stockade-{machine}" in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    return False


async def test_a_closed_sandbox_says_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", host.env["XDG_RUNTIME_DIR"])
    async with Sandbox() as box:
        (pid,) = (record.pid for record in registry.machines() if record.id == box.id)
        await box.close()
        for use in (box.exec(["true"]), box.stats(), box.files.list("/")):
            with pytest.raises(MachineError, match="the machine is closed"):
                await use
    host.expect_nothing(pid)
