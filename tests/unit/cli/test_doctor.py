from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stockade.cli import doctor

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be built yet, and so nothing be booted."""
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path / "cache"))


def test_it_prints_plain_columns_when_nobody_watches(
    read: Callable[..., Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run(read(doctor)) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["WALL", "USABLE", "BACKEND", "HOW"]
    assert lines[1].startswith("microvm    yes     qemu-microvm  ")
    assert lines[2].split(maxsplit=2) == ["gvisor", "no", "not in this version"]
    assert lines[5].split() == ["CHECK", "STATUS", "FOUND"]
    # The columns are aligned.
    column = lines[5].index("STATUS")
    assert {line[column : column + 4].strip() for line in lines[6:20]} <= {"ok", "warn", "fail"}
    assert "\x1b" not in out
    assert err == ""


def test_it_names_what_is_missing_with_the_command_that_installs_it(
    read: Callable[..., Namespace],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tmp_path / "none"))
    assert doctor.run(read(doctor)) == 125
    out = capsys.readouterr().out
    assert "microvm    no      qemu-microvm  lacks qemu" in out
    repairs = out.partition("REPAIR")[2]
    assert "apt install qemu-system-x86" in repairs


def test_json_is_one_document_with_the_same_facts(
    read: Callable[..., Namespace],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tmp_path / "none"))
    assert doctor.run(read(doctor, "--json")) == 125
    document = json.loads(capsys.readouterr().out)
    assert document["walls"][0] == {
        "wall": "microvm",
        "backend": "qemu-microvm",
        "usable": False,
        "detail": "lacks qemu",
    }
    qemu = next(found for found in document["findings"] if found["name"] == "qemu")
    assert qemu == {
        "name": "qemu",
        "status": "fail",
        "detail": f"{tmp_path / 'none'} is not installed",
        "fix": "apt install qemu-system-x86",
    }


def _on_a_terminal(code: str) -> bytes:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # EIO: the other side has closed it
            pass
        finally:
            os.close(ours)
    assert process.returncode == 0
    return seen


def test_on_a_terminal_it_prints_a_table() -> None:
    seen = _on_a_terminal(
        "import sys; from stockade.cli.main import run; sys.exit(run(['doctor']))"
    )
    assert b"\x1b[1m" in seen
    assert b"qemu-microvm" in seen
