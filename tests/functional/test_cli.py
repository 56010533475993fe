"""The ``stockade`` command as another process: options, streams, exit codes, and every mistake.

A machine takes seconds to boot, so each run here proves several things.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.functional.conftest import expect_one_clear_line

from stockade.cli.main import COMMANDS

if TYPE_CHECKING:
    from tests.functional.conftest import Stockade

pytestmark = pytest.mark.machine

_MIB = 1 << 20
_PROFILE = """
version: 1
name: from-a-file
env: {FROM_PROFILE: profile, BOTH: profile}
files:
  - {host: ./given, guest: /given}
"""
_REPORT = r"""
uname -r
cat /proc/sys/kernel/random/boot_id
pwd
printf '%s\n' "$FROM_PROFILE" "$BOTH" "$SPACED" "${SECRET:-no secret}" "$#"
cat /given/note
echo changed > note; cat note
printf 'apart\n' >&2
printf '%s' "$1"
cat
exit 7
"""


def test_a_run_has_what_profile_and_options_give_it_and_nothing_of_the_host(
    stockade: Stockade, tmp_path: Path
) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "note").write_text("given\n")
    (tmp_path / "changed").mkdir()
    (tmp_path / "changed" / "note").write_text("as it was\n")
    (tmp_path / "profile.yaml").write_text(_PROFILE)
    stockade.env["SECRET"] = "of the host"
    odd_word, data = b"\xff -- --json", bytes(range(256)) * 4096 + b"no newline at the end"

    done = stockade(
        *("run", "--profile", tmp_path / "profile.yaml"),
        *("--file", f"{tmp_path / 'changed'}:/workspace:overlay"),
        *("--env", "BOTH=option", "-e", "SPACED=a=b  c"),
        *("--limit", "memory=256MiB", "-l", "processes=32", "--timeout", "1m30s", "--watch"),
        *("--", "sh", "-c", _REPORT, "sh", odd_word),
        stdin=data,
    )

    assert (done.returncode, done.stderr) == (7, b"apart\n")
    kernel, boot, *lines, rest = done.stdout.split(b"\n", 10)
    assert kernel.decode() != platform.release()
    assert boot.decode() != Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    folder = b"/workspace"
    assert lines == [
        folder, b"profile", b"option", b"a=b  c", b"no secret", b"1", b"given", b"changed",
    ]  # fmt: skip
    assert rest == odd_word + data
    assert (tmp_path / "changed" / "note").read_text() == "as it was\n"


def test_64_mib_each_way_are_exact_and_a_signal_gives_128_and_its_number(
    stockade: Stockade,
) -> None:
    data = os.urandom(_MIB) * 64
    script = "sha256sum >&2; yes | head -c 64M; kill -TERM $$"
    done = stockade("run", "--", "sh", "-c", script, stdin=data)
    assert done.returncode == 128 + 15
    assert done.stderr.split() == [hashlib.sha256(data).hexdigest().encode(), b"-"]
    wanted = hashlib.sha256(b"y\n" * (32 * _MIB)).digest()
    assert (len(done.stdout), hashlib.sha256(done.stdout).digest()) == (64 * _MIB, wanted)


_HOG = r"""
import sys
sys.stdout.write("tëxt\n")
sys.stdout.flush()
sys.stderr.buffer.write(b"\xff\x00")
sys.stderr.flush()
kept = []
while True:
    kept.append(bytearray(1 << 20))
"""


def test_json_is_one_document_that_has_the_output_and_the_report(stockade: Stockade) -> None:
    done = stockade("run", "--json", "--limit", "memory=64MiB", "--", "python3", "-c", _HOG)
    assert (done.returncode, done.stderr) == (137, b"")
    document = json.loads(done.stdout)
    assert set(document) == {
        "session", "profile", "image", "wall", "backend", "kernel", "host_kernel", "outcome",
        "seconds", "timings", "stdout", "stderr",
    }  # fmt: skip
    assert document["stdout"] == {"encoding": "utf-8", "data": "tëxt\n"}
    assert document["stderr"] == {"encoding": "base64", "data": "/wA="}
    assert (document["profile"], document["image"]) == ("default", "debian-python")
    assert (document["wall"], document["host_kernel"]) == ("microvm", platform.release())
    assert document["kernel"] != platform.release()

    outcome = document["outcome"]
    assert set(outcome) == {"code", "signal", "limit", "reason", "usage"}
    assert (outcome["code"], outcome["limit"]) == (137, "memory")
    assert outcome["reason"] == "memory limit of 64MiB reached"
    assert set(outcome["usage"]) == {"wall", "cpu_user", "cpu_system", "memory_peak"}
    assert set(document["timings"]) == {"prepare", "launch", "boot", "configure"}
    assert all(seconds >= 0 for seconds in document["timings"].values())
    assert document["seconds"] >= document["timings"]["boot"]


@pytest.mark.parametrize(
    ("arguments", "code", "output", "reason"),
    [
        (["--timeout", "1s", "--", "sleep", "1000"], 124, 0, "time limit of 1s reached"),
        (["--", "/etc/passwd"], 126, 0, "/etc/passwd: Permission denied"),
        (["--", "nosuch"], 127, 0, "nosuch: no such command in the machine's PATH"),
        (["-l", "output=1000", "--", "yes"], 137, 1000, "output limit of 1000B reached"),
    ],
    ids=["timeout", "not-executable", "not-found", "limit"],
)
def test_what_ends_a_run_is_told_by_its_code_and_one_line(
    stockade: Stockade, arguments: list[str], code: int, output: int, reason: str
) -> None:
    done = stockade("run", *arguments)
    assert done.stderr.decode() == f"stockade: {reason}\n"
    assert (done.returncode, done.stdout) == (code, (b"y\n" * 500)[:output])


# A pipe that does not wait, as one shared with an event loop elsewhere may be.
_IMPATIENT = "import os, sys; os.set_blocking(1, False); os.execv(sys.argv[1], sys.argv[1:])"


def test_a_reader_that_has_enough_ends_the_run_as_it_would_end_the_command(
    stockade: Stockade,
) -> None:
    done = stockade.execute(
        *("bash", "-c", '"$@" | head -c 8M; exit "${PIPESTATUS[0]}"', "bash"),
        *(sys.executable, "-c", _IMPATIENT, stockade.program, "run", "--", "yes"),
    )
    assert (done.returncode, done.stderr) == (141, b"")
    assert done.stdout == b"y\n" * (4 * _MIB)


def test_output_that_cannot_be_written_is_one_clear_line(stockade: Stockade) -> None:
    for arguments in (["run", "--", "echo", "lost"], ["ps"], ["ps", "--json"], ["run", "--help"]):
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            done = stockade(*arguments, stdout=full)
        finally:
            os.close(full)
        expect_one_clear_line(done, "cannot write standard output: No space left on device")


def test_streams_that_are_closed_are_as_good_as_empty(stockade: Stockade) -> None:
    """Not the file that would next get the number of one, such as the machine's own disk."""
    closing = '"$@" <&- >&- 2>&-'
    script = "cat; echo lost; echo lost >&2; exit 4"
    done = stockade.execute(
        *("sh", "-c", closing, "sh", stockade.program, "run", "--", "sh", "-c", script)
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, ["no command given", "stockade run -- python3 -V"]),
        (["run", "--json", "--"], 2, ["no command given"]),
        (["run", "--nope", "--", "true"], 2, ["--nope", "stockade run --help"]),
        (["nope"], 2, ["nope", "run, shell, ps, kill, pause, resume, fork, "]),
        (["run", "--timeout", "5x", "--", "true"], 2, ["'5x' is not a duration", "10m"]),
        (["run", "--timeout", "0s", "--", "true"], 2, ["'0s' is out of range"]),
        (["run", "--limit", "memry=1GiB", "--", "true"], 2, ["did you mean 'memory'?"]),
        (["run", "--env", "1=x", "--", "true"], 2, ["env"]),
        (["run", "--file", "x", "--", "true"], 2, ["is not a file grant", "HOST:GUEST"]),
        (["run", "--file", "/nonexistent:/x", "--", "true"], 125, ["'/nonexistent'", "No such"]),
        (["run", "--image", "debian-pyton", "--", "true"], 125, ["Did you mean debian-python?"]),
        (["run", "--image", "n\n\x1b[31m", "--", "true"], 2, ["image:"]),
        (["run", "--profile", "/nonexistent.yaml", "--", "true"], 125, ["/nonexistent.yaml"]),
        (["shell"], 2, ["shell needs a terminal", "stockade run"]),
        (["image", "remove", "nope"], 125, ["no image 'nope'", "stockade image list"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_clear_line(
    stockade: Stockade,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    expect_one_clear_line(stockade(*arguments), *words, code=code)


def test_a_misspelled_key_of_a_profile_is_told_with_file_and_line(
    stockade: Stockade, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("version: 1\nname: x\nlimits:\n  memroy: 1GiB\n")
    done = stockade("run", "--profile", profile, "--", "true")
    expect_one_clear_line(
        done, f"{profile}:4: unknown key 'memroy' in limits; did you mean 'memory'?"
    )


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("STOCKADE_QEMU_BIN", "/nonexistent", ["/nonexistent", "apt install qemu-system-x86"]),
        ("STOCKADE_CACHE_DIR", "/proc/x", ["cannot write the cache /proc/x", "STOCKADE_CACHE_DIR"]),
        ("XDG_RUNTIME_DIR", "/proc/x", ["runtime directory /proc/x", "XDG_RUNTIME_DIR"]),
    ],
    ids=["no-qemu", "cache", "runtime"],
)
def test_what_is_missing_on_the_host_is_one_clear_line(
    stockade: Stockade, variable: str, value: str, words: list[str]
) -> None:
    stockade.env[variable] = value
    expect_one_clear_line(stockade("run", "--", "true"), *words)


# In a mount namespace of its own: a cache on a disk of 1 MiB, with a runtime that is built already.
_ON_A_SMALL_DISK = (
    'mount -t tmpfs -o size=1m,mode=700 tmpfs "$1" || exit 77; '
    'ln -s "$2/kits" "$2/runtimes" "$1" && shift 2 && exec "$@"'
)


def test_a_full_disk_is_one_clear_line(
    stockade: Stockade, runtime_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "rootfs" / "big").write_bytes(os.urandom(2 * _MIB))
    stockade.env["STOCKADE_CACHE_DIR"] = str(tmp_path / "disk")
    done = stockade.execute(
        *("unshare", "--user", "--map-root-user", "--mount"),
        *("sh", "-c", _ON_A_SMALL_DISK, "sh", tmp_path / "disk", runtime_cache),
        *(stockade.program, "image", "build", f"dir:{tmp_path / 'rootfs'}"),
    )
    if done.returncode == 77 or b"unshare failed" in done.stderr:
        pytest.skip(f"no disk of our own can be made here: {done.stderr.decode()}")
    expect_one_clear_line(done, "no space left on the disk", "STOCKADE_CACHE_DIR")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_there_for_every_command(stockade: Stockade, command: str) -> None:
    done = stockade(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"Usage: stockade {command}".rstrip() in done.stdout.decode()


def test_help_for_run_names_every_option(stockade: Stockade) -> None:
    shown = stockade("run", "--help").stdout.decode()
    for option in (
        "--profile", "--image", "--file", "--env", "--limit", "--timeout", "--watch", "--json",
    ):  # fmt: skip
        assert option in shown
