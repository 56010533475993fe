"""Commands in a real machine: codes, streams and environment, exact to the byte."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import anyio
import pytest

from stockade.model.profile import Profile
from stockade.sandbox.process import Terminal
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine

_MIB = 1 << 20


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -9 $$", 137)],
)
def test_exit_codes(box: BlockingSandbox, script: str, code: int) -> None:
    outcome = box.exec(["sh", "-c", script]).outcome
    assert outcome.code == code
    assert outcome.signal == (code - 128 if code in (143, 137) else None)
    assert outcome.limit is None


def test_a_missing_command_is_127_and_says_so(box: BlockingSandbox) -> None:
    result = box.exec(["nosuch"])
    assert result.code == 127
    assert result.stderr == b"stockade: nosuch: no such command in the machine's PATH\n"


def test_what_cannot_be_executed_is_126_and_says_so(box: BlockingSandbox) -> None:
    result = box.exec(["/etc/passwd"])
    assert result.code == 126
    assert result.stderr == b"stockade: /etc/passwd: Permission denied\n"


def test_a_missing_working_directory_is_told(box: BlockingSandbox) -> None:
    result = box.exec(["true"], cwd="/nowhere")
    assert result.code == 126
    assert b"/nowhere: No such file" in result.stderr


def test_environment_and_working_directory(box: BlockingSandbox) -> None:
    result = box.exec(["sh", "-c", "echo $A; pwd; echo $HOME; id -u"], env={"A": "b c"}, cwd="/tmp")
    assert result.text.splitlines() == ["b c", "/tmp", "/home/agent", "1000"]


def test_arguments_and_output_may_be_any_bytes(box: BlockingSandbox) -> None:
    raw = bytes(range(1, 256))
    assert box.exec([b"printf", b"%s", raw]).stdout == raw


def test_outputs_are_kept_apart(box: BlockingSandbox) -> None:
    result = box.exec(["sh", "-c", "echo out; echo err >&2"])
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


def test_one_long_line(box: BlockingSandbox) -> None:
    result = box.exec(["sh", "-c", r"head -c 1048576 /dev/zero | tr '\0' x"])
    assert result.stdout == b"x" * _MIB


def test_random_bytes_go_there_and_back(box: BlockingSandbox) -> None:
    data = os.urandom(3 * _MIB + 17)
    assert box.exec(["cat"], stdin=data).stdout == data


def test_64_mib_of_input_are_exact(box: BlockingSandbox) -> None:
    data = os.urandom(_MIB) * 64
    result = box.exec(["sha256sum"], stdin=data)
    assert result.text.split()[0] == hashlib.sha256(data).hexdigest()


def test_64_mib_of_output_are_exact(box: BlockingSandbox) -> None:
    result = box.exec(["sh", "-c", "yes | head -c 64M"])
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(b"y\n" * (32 * _MIB)).digest()


def test_input_that_nobody_reads_is_no_error(box: BlockingSandbox) -> None:
    assert box.exec(["true"], stdin=b"x" * _MIB).code == 0


def test_what_a_command_leaves_running_ends_with_it(box: BlockingSandbox) -> None:
    assert box.exec(["sh", "-c", "sleep 4711 & echo $!"]).code == 0
    assert box.exec(["pgrep", "-f", "sleep 4711"]).code == 1


def test_statistics(box: BlockingSandbox) -> None:
    stats = box.stats()
    assert stats["commands"] == 0
    assert stats["scratch_free"] > 0
    assert stats["cpu_user"] > 0


@pytest.mark.anyio
async def test_commands_run_side_by_side_and_a_stalled_one_stops_no_other() -> None:
    async with Sandbox(Profile()) as box:
        stalled = await box.start(["yes"])  # nobody reads its output

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                codes: list[int] = []

                async def one(number: int) -> None:
                    result = await box.exec(["sh", "-c", f"echo {number}; exit {number}"])
                    assert result.text == f"{number}\n"
                    codes.append(result.code)

                for number in range(20):
                    tasks.start_soon(one, number)
        assert sorted(codes) == list(range(20))
        stalled.stop(None)

        process = await box.start(
            ["sh", "-c", "stty size; read x; stty size; cat"], terminal=Terminal(11, 22)
        )
        said = b""
        while b"11 22" not in said:
            said += await process.read_stdout()
        await process.resize(Terminal(33, 44))
        await process.stdin.send(b"\n")
        while b"33 44" not in said:
            said += await process.read_stdout()
        await process.stdin.send(b"\x03")  # what Ctrl-C sends: the terminal makes it a signal
        while await process.read_stdout():
            pass
        assert (await process.wait()).code == 130
