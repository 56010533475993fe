"""Run as it is run in the machine: its text given to an interpreter, beside the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stockade.tools.suites import pytest_reporter

_SOURCE = Path(pytest_reporter.__file__).read_text("utf-8")


def _report(folder: Path, *arguments: str, path: str = "") -> tuple[int, list[dict[str, Any]]]:
    argv = [sys.executable, "-c", _SOURCE, "-p", "no:cacheprovider", *arguments]
    env = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_each_phase_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import os, pytest\n"
        "@pytest.fixture\n"
        "def late():\n"
        "    yield\n"
        "    raise OSError('torn')\n"
        "def test_tear_down(late): ...\n"
        "def test_elsewhere(tmp_path):\n"
        "    os.chdir(tmp_path)\n"
        "    os.write(2, b'noise')\n"
        "    raise KeyError('x')\n"
    )
    (tmp_path / "test_b.py").write_text("def broken(:\n")
    code, events = _report(tmp_path, "--continue-on-collection-errors")
    assert code == 1
    assert [(one["outcome"], one.get("file"), one.get("line")) for one in events] == [
        ("error", "test_b.py", 1),
        ("passed", None, None),
        ("error", "test_a.py", 5),
        ("failed", "test_a.py", 10),
    ]
    assert events[3]["message"] == "KeyError: 'x'"


def test_the_absence_of_pytest_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "pytest.py").write_text("raise ImportError\n")
    code, events = _report(tmp_path)
    assert (code, events) == (1, [{"problem": "pytest is not installed in the machine"}])
