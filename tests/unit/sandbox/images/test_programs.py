from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.errors import ImageError, MissingToolError
from stockade.sandbox.images.programs import (
    Finished,
    check,
    clean_env,
    failure,
    find_program,
    no_space,
    run,
)

pytestmark = pytest.mark.anyio

_PATIENCE = 20.0  # seconds until a test that waits in vain fails


async def _shell(script: str, *arguments: str | Path) -> Finished:
    with anyio.fail_after(_PATIENCE):
        return await run(["sh", "-c", script, "sh", *arguments], package="dash")


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def test_a_program_says_what_it_has_to_say() -> None:
    finished = await _shell("echo out; echo err >&2; exit 3")
    assert finished == Finished("sh", 3, b"out\n", "err\n")


async def test_a_program_reads_nothing() -> None:
    assert (await _shell("cat")).stdout == b""


async def test_a_program_ended_by_a_signal_has_a_negative_status() -> None:
    assert (await _shell("kill -KILL $$")).returncode == -signal.SIGKILL


async def test_arguments_arrive_as_they_are() -> None:
    odd = ["a b", "", "*", "$HOME", "'\"", "-n", "new\nline", "\udcff"]
    finished = await run(["sh", "-c", 'printf "%s\\0" "$@"', "sh", *odd], package="dash")
    assert os.fsdecode(finished.stdout).split("\0")[:-1] == odd


async def test_output_that_is_not_text_is_read_all_the_same() -> None:
    finished = await _shell(r"printf '\377'; printf '\377' >&2")
    assert (finished.stdout, finished.stderr) == (b"\xff", "\N{REPLACEMENT CHARACTER}")


async def test_endless_output_is_cut_and_the_end_of_errors_is_kept() -> None:
    script = "yes out | head -c 100000; (yes err | head -c 300000; echo last) >&2"
    finished = await run(["sh", "-c", script], package="dash", stdout_limit=1000)
    assert finished.stdout == (b"out\n" * 250)
    assert len(finished.stderr) == 64 * 1024
    assert finished.stderr.endswith("last\n")


async def test_output_may_go_to_a_file() -> None:
    with tempfile.TemporaryFile() as file:
        finished = await run(["echo", "out"], package="coreutils", stdout=file.fileno())
        file.seek(0)
        assert (file.read(), finished.stdout) == (b"out\n", b"")


async def test_files_are_passed_on_under_their_numbers() -> None:
    with tempfile.TemporaryFile() as file:
        number = file.fileno()
        script = 'echo here > "/proc/self/fd/$1"'
        await run(["sh", "-c", script, "sh", str(number)], package="dash", pass_fds=[number])
        file.seek(0)
        assert file.read() == b"here\n"


async def test_lines_are_seen_whole_and_without_their_ends() -> None:
    seen: list[str] = []
    script = r"{ printf 'one\r\ntw'; printf 'o\n\377\n'; head -c 100000 /dev/zero; echo; } >&2"
    await run(["sh", "-c", script], package="dash", on_line=seen.append)
    assert seen[:3] == ["one", "two", "\N{REPLACEMENT CHARACTER}"]
    # A line without end, as from a program gone mad, must not fill the memory.
    assert len(seen) == 4
    assert 0 < len(seen[3]) <= 8 * 1024


async def test_what_a_program_leaves_behind_ends_with_it(
    tmp_path: Path, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    pid = tmp_path / "pid"
    # It holds the pipes open, so that waiting for their end would take as long as it runs.
    finished = await _shell('sleep 1000 & echo $! > "$1"', pid)
    assert finished.returncode == 0
    eventually(lambda: not _runs(int(pid.read_text())), "what was left behind ends")


async def test_cancelling_ends_the_program_and_all_that_it_started(
    tmp_path: Path, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    script = 'sleep 1000 & echo $! > "$1"; echo $$ > "$2"; wait'
    paths = [tmp_path / "child", tmp_path / "parent"]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_shell, script, *paths)
        await anyio.to_thread.run_sync(
            eventually, lambda: paths[1].exists() and paths[1].read_text(), "the program starts"
        )
        tasks.cancel_scope.cancel()
    assert not _runs(int(paths[1].read_text()))
    eventually(lambda: not _runs(int(paths[0].read_text())), "the child ends")


async def test_cancelling_lets_a_program_clean_up(
    tmp_path: Path, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    script = 'trap \'echo clean > "$1"; exit\' TERM; echo > "$2"; while :; do sleep 0.01; done'
    cleaned, started = tmp_path / "cleaned", tmp_path / "started"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_shell, script, cleaned, started)
        await anyio.to_thread.run_sync(eventually, started.exists, "the program starts")
        tasks.cancel_scope.cancel()
    assert cleaned.read_text() == "clean\n"


def test_a_program_ends_when_stockade_is_killed(
    tmp_path: Path, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    code = """
import anyio, sys
from stockade.sandbox.images.programs import run
script = 'sleep 1000 & echo $! > "$1.new"; mv "$1.new" "$1"; wait'
anyio.run(lambda: run(["sh", "-c", script, "sh", sys.argv[1]], package="dash"))
"""
    pid = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", code, pid]) as stockade:
        eventually(pid.exists, "the program starts")
        stockade.kill()
    eventually(lambda: not _runs(int(pid.read_text())), "the program ends")


async def test_the_environment_does_not_depend_on_who_builds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    names = (await run(["env"], package="coreutils")).stdout.decode()
    assert "LC_ALL=C.UTF-8\n" in names
    assert "https_proxy=http://proxy.example:3128\n" in names
    assert "AWS" not in names
    assert "PYTHON" not in names
    assert clean_env(EXTRA="1")["EXTRA"] == "1"


async def test_a_missing_program_is_named_with_the_way_to_install_it() -> None:
    with pytest.raises(MissingToolError, match=r"^stockade-nope is not installed$") as caught:
        await run(["stockade-nope"], package="nope-utils")
    assert caught.value.hint == "Run: apt install nope-utils"


def test_programs_are_found_where_an_ordinary_users_path_does_not_lead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert Path(find_program("ldconfig", package="libc-bin")).is_absolute()
    monkeypatch.delenv("PATH")
    assert Path(find_program("sh", package="dash")).is_absolute()


def test_a_file_that_cannot_be_executed_is_no_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stockade-nope").write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError):
        find_program("stockade-nope", package="nope")


async def test_check_returns_what_went_well_and_raises_what_did_not() -> None:
    good = await check(["echo", "fine"], package="coreutils", doing="speak")
    assert good.stdout == b"fine\n"
    with pytest.raises(ImageError, match=r"^cannot look: ls: .*No such file or directory$"):
        await check(["ls", "/nonexistent/file"], package="coreutils", doing="look")


@pytest.mark.parametrize(
    ("returncode", "stderr", "said"),
    [
        (1, "first\n\nlast  \n", "cannot pack: tool: last"),
        (2, "", "cannot pack: tool: exit status 2"),
        (-9, "\n", "cannot pack: tool: ended by SIGKILL"),
        (
            1,
            "write error: No space left on device\nbye\n",
            "cannot pack: no space left on the disk",
        ),
    ],
)
def test_a_failure_is_told_in_one_line(returncode: int, stderr: str, said: str) -> None:
    assert str(failure(Finished("tool", returncode, b"", stderr), doing="pack")) == said


@given(st.text(), st.integers(min_value=-31, max_value=255).filter(bool))
def test_any_failure_is_told_in_one_short_line(stderr: str, returncode: int) -> None:
    message = str(failure(Finished("tool", returncode, b"", stderr), doing="pack"))
    assert len(message.splitlines()) == 1
    assert len(message) < 400


def test_a_full_disk_comes_with_what_to_do() -> None:
    assert "STOCKADE_CACHE_DIR" in no_space("pack").hint
