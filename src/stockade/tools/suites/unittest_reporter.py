"""Runs unittest in the machine and reports; see ``events.py``. Sent there as text: imports nothing.

Arguments are those of ``python -m unittest``.
"""

# ruff: noqa: D102, N802 - methods that unittest has named and described

from __future__ import annotations

import json
import os
import re
import sys
import traceback
import unittest
from pathlib import Path
from typing import Any

_HERE = Path.cwd()  # as tests may go elsewhere
_FRAME = re.compile(r'^ +File "(.+)", line (\d{1,9})', re.MULTILINE)


class Result(unittest.TextTestResult):
    """Says how each test ended, beside what unittest prints."""

    report_fd = -1

    def say(self, outcome: str, test: Any, error: Any = None, message: str = "") -> None:
        """Write one event, as a whole."""
        event = {"outcome": outcome, "test": test.id(), "message": message}
        if error is not None:
            message = _message(error)
            file, line = _place(error, message)
            event |= {"file": file, "line": line, "message": message}
        data = json.dumps(event).encode() + b"\n"
        while data:
            data = data[os.write(self.report_fd, data) :]

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self.say("passed", test)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.say("failed", test, err)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.say("error", test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self.say("failed" if failed else "error", subtest, err)

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self.say("skipped", test)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self.say("passed", test)

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self.say("failed", test, message="passed, and was expected to fail")


def _place(error: Any, message: str) -> tuple[str, int]:
    """The innermost frame of the project's own; of what cannot be imported only text is left."""
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error[2])]
    frames += [(file, int(line)) for file, line in _FRAME.findall(message)]
    for file, line in reversed(frames):
        if Path(file).is_relative_to(_HERE):
            return str(Path(file).relative_to(_HERE)), line
    return "", 0


def _message(error: Any) -> str:
    return "".join(traceback.format_exception_only(error[0], error[1])).strip()[-4000:]


def main() -> int:
    """Run unittest with standard error as the report, and all other output on standard output."""
    Result.report_fd = os.dup(2)
    os.dup2(1, 2)
    program = unittest.main(
        module=None,
        argv=["python3 -m unittest", *sys.argv[1:]],
        testRunner=unittest.TextTestRunner(resultclass=Result),  # type: ignore[arg-type]
        exit=False,
    )
    return 0 if program.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
