"""A person at a terminal: ``shell`` in a real one, ``ps`` to see machines, ``kill`` to end them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.functional.conftest import expect_one_clear_line
from tests.functional.terminals import PATIENCE, Reader, Terminal, ended

if TYPE_CHECKING:
    from tests.functional.conftest import Stockade

pytestmark = pytest.mark.machine


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal(33, 99)
    yield made
    made.close()


@contextmanager
def _shell(stockade: Stockade, terminal: Terminal) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``stockade shell`` as the program that owns the terminal."""
    with (
        subprocess.Popen(
            ["setsid", "--ctty", stockade.program, "shell"],
            stdin=terminal.inner,
            stdout=terminal.inner,
            stderr=terminal.inner,
            # A shell that started us may have said how large its own window was.
            env={**stockade.environment, "TERM": "dumb", "COLUMNS": "7", "LINES": "7"},
        ) as process,
        ended(process),
    ):
        yield process


def _list(stockade: Stockade) -> list[dict[str, Any]]:
    done = stockade("ps", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


# Not what is typed, which the terminal shows as well: "re''ady" says ready and is not it.
_WAIT_FOR_A_NEW_SIZE = (
    b"""sh -c 'trap "stty size; exit" WINCH; echo re""ady; while :; do sleep 0.1; done'\n"""
)


def test_a_shell_is_a_terminal_of_the_machine(stockade: Stockade, terminal: Terminal) -> None:
    before = terminal.modes
    with _shell(stockade, terminal) as process:
        greeting = terminal.until(rb"\$ $")
        assert re.search(rb"stockade: machine [0-9a-f]{8}, destroyed with all its files", greeting)
        assert b"no job control" not in greeting
        assert terminal.is_raw

        terminal.type(b"tty; stty size; id -un\n")
        assert b"/dev/pts/" in terminal.until(rb"\r\n33 99\r\n")
        terminal.until(rb"agent\r\n")

        terminal.type(_WAIT_FOR_A_NEW_SIZE)
        terminal.until(b"ready")
        terminal.resize(44, 132)
        terminal.until(rb"\r\n44 132\r\n")

        terminal.type(b"sh -c 'echo re\"\"ady; exec sleep 1000'\n")
        terminal.until(b"ready")
        terminal.type(b"\x03")
        terminal.until(rb"\$ $")
        terminal.type(b"echo status $?; exit 7\n")
        terminal.until(rb"\r\nstatus 130\r\n")

        assert process.wait(PATIENCE) == 7
    assert terminal.modes == before


def test_a_machine_is_listed_and_can_be_killed(stockade: Stockade, terminal: Terminal) -> None:
    before = terminal.modes
    command = ["sh", "-c", "echo up; exec sleep 1000", "two words"]
    with (
        _shell(stockade, terminal) as shell,
        subprocess.Popen(
            [stockade.program, "run", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=stockade.environment,
        ) as run,
        ended(run),
    ):
        assert run.stdout
        Reader(run.stdout.fileno()).until(b"up\n")
        terminal.until(rb"\$ $")

        records = {record["owner"]: record for record in _list(stockade)}
        assert set(records) == {run.pid, shell.pid}
        record = records[run.pid]
        assert set(record) == {
            "id", "pid", "ticks", "owner", "backend", "image", "profile", "command", "started",
            "state",
        }  # fmt: skip
        assert record["command"] == command
        assert (record["image"], record["profile"]) == ("debian-python", "default")

        shown = stockade("ps").stdout.decode().splitlines()
        assert shown[0].split() == [
            "ID", "STATE", "PROFILE", "IMAGE", "BACKEND", "AGE", "PID", "COMMAND",
        ]  # fmt: skip
        (line,) = (line for line in shown if line.startswith(record["id"]))
        assert line.endswith(shlex.join(command))
        assert str(record["pid"]) in line.split()

        expect_one_clear_line(stockade("kill", "nope"), "no machine has the id 'nope'", "ps")
        assert len(_list(stockade)) == 2
        done = stockade("kill", record["id"][:6])
        assert (done.returncode, done.stdout) == (0, f"{record['id']}\n".encode())
        output, said = run.communicate(timeout=PATIENCE)
        assert (run.returncode, output) == (137, b"")
        assert said == b"stockade: the machine was ended by stockade kill\n"

        (left,) = _list(stockade)
        assert stockade("kill", left["id"]).returncode == 0
        terminal.until(b"stockade: the machine was ended by stockade kill\r\n")
        assert shell.wait(PATIENCE) == 137
    assert terminal.modes == before
    assert _list(stockade) == []
