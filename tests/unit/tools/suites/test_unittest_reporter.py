"""Run as it is run in the machine: its text given to an interpreter, beside the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from stockade.tools.suites import unittest_reporter

_SOURCE = Path(unittest_reporter.__file__).read_text("utf-8")


def test_each_end_of_a_test_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import os, unittest\n"
        "class A(unittest.TestCase):\n"
        "    def test_1(self): ...\n"
        "    def test_2(self):\n"
        "        os.chdir('/')\n"
        "        self.assertIn(1, [])\n"
        "    def test_3(self):\n"
        "        with self.subTest(n=1):\n"
        "            raise OSError('x')\n"
        "    @unittest.expectedFailure\n"
        "    def test_4(self): ...\n"
    )
    argv = [sys.executable, "-c", _SOURCE, "discover"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"Ran 4 tests" in done.stdout
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["outcome"], one.get("file"), one.get("line")) for one in events] == [
        ("passed", None, None),
        ("failed", "test_a.py", 6),
        ("error", "test_a.py", 9),
        ("failed", None, None),
    ]
    assert events[1]["message"] == "AssertionError: 1 not found in []"
