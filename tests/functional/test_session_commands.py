"""Machines that are paused, copied and put back, each by a ``stockade`` of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.functional.conftest import expect_one_clear_line
from tests.functional.terminals import PATIENCE, Reader, Terminal, ended

if TYPE_CHECKING:
    from tests.functional.conftest import Stockade

pytestmark = pytest.mark.machine

Eventually = Callable[[Callable[[], object], str], None]


@dataclass
class Running:
    """A command that runs under ``stockade`` meanwhile, and the machine that it runs in."""

    process: subprocess.Popen[bytes]
    output: Reader
    machine: str
    hypervisor: int
    said: bytes

    def tell(self, line: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin
        self.process.stdin.write(line)
        self.process.stdin.flush()

    @property
    def cpu(self) -> float:
        """Seconds of processor time that the hypervisor has used (proc(5), schedstat)."""
        tasks = Path(f"/proc/{self.hypervisor}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _machines(stockade: Stockade) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stockade("ps", "--json").stdout)
    return found


def _checkpoints(stockade: Stockade) -> set[str]:
    listed = json.loads(stockade("checkpoint", "list", "--json").stdout)
    return {one["name"] for one in listed}


@contextmanager
def _running(stockade: Stockade, *words: str | Path, until: bytes) -> Iterator[Running]:
    """Start ``stockade`` with ``words`` and go on when the command has said ``until``."""
    before = {record["id"] for record in _machines(stockade)}
    with (
        subprocess.Popen(
            [stockade.program, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=stockade.environment,
        ) as process,
        ended(process),
    ):
        assert process.stdout
        output = Reader(process.stdout.fileno())
        said = output.until(until)
        (record,) = (one for one in _machines(stockade) if one["id"] not in before)
        assert record["owner"] == process.pid
        yield Running(process, output, record["id"], record["pid"], said)


@pytest.fixture
def workspace(tmp_path: Path) -> str:
    """Give the grant of a folder with a note in it."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "note").write_text("as given\n")
    return f"{tmp_path / 'given'}:/workspace:overlay"


# Always busy, and not too talkative: there is a limit to output.
_COUNT = "i=0; while :; do i=$((i + 1)); [ $((i % 2000)) = 0 ] && echo $((i / 2000)); done"
_STILL = 0.05  # seconds; a busy machine uses ten times as much while a stockade runs beside it


def test_a_paused_machine_uses_no_processor_and_goes_on_where_it_was(
    stockade: Stockade, eventually: Eventually
) -> None:
    with _running(stockade, "run", "--", "sh", "-c", _COUNT, until=rb"\n") as run:
        done = stockade("pause", run.machine[:6])
        assert (done.returncode, done.stdout) == (0, f"{run.machine}\n".encode()), done.stderr
        before = run.cpu
        assert _checkpoints(stockade) == {f"paused-{run.machine}"}
        assert [record["id"] for record in _machines(stockade)] == [run.machine]
        assert run.cpu - before < _STILL

        expect_one_clear_line(stockade("pause", run.machine), "is paused already", "resume")
        expect_one_clear_line(
            stockade("resume", run.machine, "--", "true"), "has its run", "fork", code=2
        )
        assert run.cpu - before < _STILL

        done = stockade("resume", run.machine[:6])
        assert (done.returncode, done.stdout) == (0, f"{run.machine}\n".encode()), done.stderr
        eventually(lambda: run.cpu - before > 10 * _STILL, "it uses the processor again")
        # More than there may have been in the pipe, and nothing was lost or came twice.
        counted = run.output.until(rb"(?:\d+\n){100}").split()
        numbers = [int(number) for number in counted]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert _checkpoints(stockade) == set()
        assert stockade("kill", run.machine).returncode == 0
        assert run.process.wait(PATIENCE) == 137


_AT_WORK = "echo written > /tmp/file; (while :; do :; done) & echo $! up; wait"


def test_a_paused_machine_outlives_the_process_that_it_belonged_to(
    stockade: Stockade, eventually: Eventually
) -> None:
    with _running(stockade, "run", "--", "sh", "-c", _AT_WORK, until=rb"up\n") as run:
        worker = run.said.decode().split()[0]
        assert stockade("pause", run.machine).returncode == 0
        run.process.kill()
        assert run.process.wait(PATIENCE) == -9
    eventually(lambda: _machines(stockade) == [], "its machine ends")

    mistake = stockade("resume", run.machine[:5])
    expect_one_clear_line(mistake, "no command given", "two dashes", code=2)
    missing = stockade("resume", run.machine, "--", "/no/such/program")
    assert missing.returncode == 127
    assert _checkpoints(stockade) == {f"paused-{run.machine}"}
    script = "cat /tmp/file; ps -o stat=,args= -p $0; exit 5"
    done = stockade("resume", run.machine[:5], "--", "sh", "-c", script, worker)
    assert (done.returncode, done.stderr) == (5, b"")
    written, process = done.stdout.decode().splitlines()
    assert written == "written"
    assert re.fullmatch(r"R\S* +sh -c echo written .*", process)

    gone = stockade("resume", run.machine, "--", "true")
    expect_one_clear_line(gone, f"no machine has the id '{run.machine}'", "checkpoint list")
    assert _checkpoints(stockade) == set()


_SIT = "cat note; cat >/dev/null; cat note"


def test_copies_see_what_the_machine_has_and_nothing_of_one_another(
    stockade: Stockade, workspace: str
) -> None:
    words = ("run", "--file", workspace, "--", "sh", "-c", f"echo mine > own; {_SIT}")
    write = "cat own note; echo $0 > note; echo up; cat; cat note"
    with _running(stockade, *words, until=rb"as given\n") as source:
        copies = ("fork", source.machine, "--", "sh", "-c", write)
        with (
            _running(stockade, *copies, "first", until=rb"mine\nas given\nup\n") as first,
            _running(stockade, *copies, "second", until=rb"mine\nas given\nup\n") as second,
        ):
            ids = {record["id"] for record in _machines(stockade)}
            assert ids == {source.machine, first.machine, second.machine}
            for copy, name in ((first, b"first\n"), (second, b"second\n")):
                output, said = copy.process.communicate(timeout=PATIENCE)
                assert (copy.process.returncode, output, said) == (0, name, b"")
        again = stockade("fork", source.machine[:6], "--json", "--", "cat", "note")
        document = json.loads(again.stdout)
        assert document["stdout"]["data"] == "as given\n"
        assert document["session"] not in ids
        output, said = source.process.communicate(timeout=PATIENCE)
        assert (source.process.returncode, output, said) == (0, b"as given\n", b"")


def test_a_person_gets_a_shell_in_a_copy(stockade: Stockade, workspace: str) -> None:
    terminal = Terminal(33, 99)
    words = ("run", "--file", workspace, "--", "sh", "-c", _SIT)
    with _running(stockade, *words, until=rb"as given\n") as source:
        before = terminal.modes
        with (
            subprocess.Popen(
                ["setsid", "--ctty", stockade.program, "fork", source.machine],
                stdin=terminal.inner,
                stdout=terminal.inner,
                stderr=terminal.inner,
                env={**stockade.environment, "TERM": "dumb"},
            ) as shell,
            ended(shell),
        ):
            greeting = terminal.until(rb"\$ $")
            assert re.search(rb"stockade: machine [0-9a-f]{8}, destroyed with", greeting)
            terminal.type(b"stty size; cat note; echo $TERM; exit 7\n")
            terminal.until(rb"\r\n33 99\r\nas given\r\ndumb\r\n")
            assert shell.wait(PATIENCE) == 7
        assert terminal.modes == before
    terminal.close()


# Put back, it goes on too, and its input has ended by then.
_LOSE = """
cat note
read -r line || exec sleep 1000
rm -rf /workspace/*
ls /workspace | wc -l
exec sleep 1000
"""


def test_a_deleted_workspace_is_back_with_one_command(stockade: Stockade, workspace: str) -> None:
    words = ("run", "--file", workspace, "--", "sh", "-c", _LOSE)
    with _running(stockade, *words, until=rb"as given\n") as run:
        done = stockade("checkpoint", "take", run.machine[:6], "before")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"before\n", b"")
        unnamed = stockade("checkpoint", "take", run.machine)
        assert unnamed.stdout == f"{run.machine}-1\n".encode()
        taken = stockade("checkpoint", "take", run.machine, "before")
        expect_one_clear_line(taken, "there is a checkpoint 'before' already")
        run.tell(b"go on\n")
        run.output.until(rb"0\n")

        mistake = stockade("rollback", "before")
        expect_one_clear_line(mistake, "no command given", code=2)
        assert run.process.poll() is None
        assert stockade("pause", run.machine).returncode == 0
        assert [one["state"] for one in json.loads(stockade("ps", "--json").stdout)] == ["paused"]
        done = stockade("rollback", "before", "--", "sh", "-c", "cat note; rm note; exit 3")
        assert (done.returncode, done.stdout, done.stderr) == (3, b"as given\n", b"")
        _, said = run.process.communicate(timeout=PATIENCE)
        assert run.process.returncode == 137
        assert said == b"stockade: the machine was ended by stockade kill\n"
    again = stockade("rollback", "before", "--timeout", "1m", "--", "cat", "note")
    assert (again.returncode, again.stdout, again.stderr) == (0, b"as given\n", b"")
    assert _checkpoints(stockade) == {"before", f"{run.machine}-1"}
    assert stockade("checkpoint", "remove", "before").stdout == b"before\n"
    assert _checkpoints(stockade) == {f"{run.machine}-1"}


def test_a_damaged_checkpoint_ends_nothing(stockade: Stockade, tmp_path: Path) -> None:
    with _running(stockade, "run", "--", "sh", "-c", "echo up; cat", until=rb"up\n") as run:
        assert stockade("checkpoint", "take", run.machine, "one").returncode == 0
        pages = tmp_path / "state" / "checkpoints" / "one" / "pages"
        pages.write_bytes(bytes(pages.stat().st_size))
        done = stockade("rollback", "one", "--", "true")
        expect_one_clear_line(done, "is damaged: pages is not what was saved", "Remove it")
        output, _ = run.process.communicate(b"still there", timeout=PATIENCE)
        assert (run.process.returncode, output) == (0, b"still there")


def test_a_template_is_listed_and_removed_unless_a_checkpoint_rests_on_it(
    stockade: Stockade, runtime_cache: Path, tmp_path: Path
) -> None:
    """In a cache that shares all but the templates, so as to boot one anew and take it away."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for shared in ("images", "keys", "kits", "runtimes"):
        (cache / shared).symlink_to(runtime_cache / shared)
    stockade.env["STOCKADE_CACHE_DIR"] = str(cache)
    words = ("run", "--limit", "memory=128MiB", "--", "sh", "-c", "echo up; cat")
    with _running(stockade, *words, until=rb"up\n") as run:
        (template,) = json.loads(stockade("template", "list", "--json").stdout)
        assert template["image"] == "debian-python"
        assert 0 < template["size"] < template["memory"]
        shown = stockade("template", "list").stdout.decode().splitlines()
        assert shown[0].split() == [
            "KEY",
            "IMAGE",
            "CPUS",
            "MEMORY",
            "SIZE",
            "CREATED",
            "(UTC)",
            "STATE",
        ]
        assert shown[1].startswith(template["key"][:12])

        assert stockade("checkpoint", "take", run.machine, "one").returncode == 0
        kept = stockade("template", "remove", template["key"])
        expect_one_clear_line(kept, "checkpoints rest on it: one", "stockade checkpoint remove")

        # A cache may be deleted. There is no going back then, and no machine is ended for that.
        shutil.rmtree(cache / "templates")
        back = stockade("rollback", "one", "--", "true")
        expect_one_clear_line(back, "is gone or was made anew")

        assert stockade("checkpoint", "remove", "one").returncode == 0
        (template,) = json.loads(stockade("template", "list", "--json").stdout)
        removed = stockade("template", "remove", template["key"][:12], "--json")
        assert json.loads(removed.stdout) == [template]
        assert json.loads(stockade("template", "list", "--json").stdout) == []
        output, _ = run.process.communicate(b"still there", timeout=PATIENCE)
        assert (run.process.returncode, output) == (0, b"still there")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        *(
            (f"{command} nope", 125, "no machine has the id 'nope'")
            for command in ("pause", "resume", "fork", "checkpoint take")
        ),
        ("fork", 2, "required: MACHINE"),
        ("resume nope --nope", 2, "unknown option '--nope'"),
        ("rollback nope -- true", 125, "there is no checkpoint 'nope'"),
        ("rollback ../nope -- true", 2, "'../nope' is not the name of a checkpoint"),
        ("rollback nope true", 2, "stockade rollback NAME -- COMMAND"),
        ("checkpoint remove nope", 125, "there is no checkpoint 'nope'"),
        ("checkpoint tak nope", 2, "did you mean 'take'?"),
        ("template remove nope", 2, "at least 6 digits"),
        ("template remove 0000000", 125, "no template '0000000'"),
    ],
)
def test_a_mistake_is_one_clear_line(stockade: Stockade, words: str, code: int, said: str) -> None:
    expect_one_clear_line(stockade(*words.split()), said, code=code)
