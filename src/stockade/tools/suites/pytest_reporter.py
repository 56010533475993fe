"""Runs pytest in the machine and reports; see ``events.py``. Sent there as text: imports nothing.

Arguments are pytest's own.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

_HERE = Path.cwd()  # as tests may go elsewhere
_PLACE = re.compile(r"^(?:E\s+File \")?([^\s\":]+)(?:\", line |:)(\d+)", re.MULTILINE)


class Reporter:
    """A plugin of pytest's that says how each test ended."""

    def __init__(self, report_fd: int) -> None:
        self._fd = report_fd

    def say(self, **event: Any) -> None:
        """Write one event, as a whole."""
        line = json.dumps(event).encode() + b"\n"
        while line:
            line = line[os.write(self._fd, line) :]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Hear of one of a test's three phases; only the call can pass."""
        if report.when != "call" and report.outcome == "passed":
            return
        if report.outcome == "failed":
            outcome = "failed" if report.when == "call" else "error"
            self._complain(outcome, report)
        else:
            self.say(outcome=report.outcome, test=report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        """Hear of a file whose tests could not be found out."""
        if report.outcome == "failed":
            self._complain("error", report)

    def _complain(self, outcome: str, report: Any) -> None:
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None:
            path, line, message = Path(crash.path), crash.lineno, crash.message[:4000]
        else:
            message = str(report.longrepr or "")[-4000:]
            places = _PLACE.findall(message)
            name, line = places[-1] if places else (report.nodeid.partition("::")[0], 0)
            path = Path(name)
        location = getattr(report, "location", None)
        if path.is_absolute() and path.is_relative_to(_HERE):
            path = path.relative_to(_HERE)
        elif path.is_absolute() and location:
            # Raised in a library: where the test stands says more.
            path, line = Path(location[0]), (location[1] or 0) + 1
        self.say(
            outcome=outcome, test=report.nodeid, file=str(path), line=int(line), message=message
        )


def main() -> int:
    """Run pytest with standard error as the report, and all other output on standard output."""
    reporter = Reporter(os.dup(2))
    os.dup2(1, 2)
    try:
        import pytest  # noqa: PLC0415 - its absence is a finding
    except ImportError:
        reporter.say(problem="pytest is not installed in the machine")
        return 1
    sys.argv[0] = "pytest"
    return int(pytest.main(sys.argv[1:], plugins=[reporter]))


if __name__ == "__main__":
    sys.exit(main())
