"""Reads what Stockade's own reporters say, which run with the tests: one JSON object a line.

``{"outcome": "failed", "test": ..., "file": ..., "line": ..., "message": ...}`` tells of a test,
``{"problem": ...}`` why none was run. The reporters say it on standard error, and have the
tests say all on standard output. What is no such object is not a report.
"""

from __future__ import annotations

import json
from typing import Any

from stockade.tools.suites.lines import Lines
from stockade.tools.suites.report import OUTCOMES, Report


class EventReader:
    """See ``report.Reader``."""

    def __init__(self) -> None:
        self.report = Report()
        self._lines = Lines()

    def output(self, chunk: bytes) -> None:
        """Leave out what the tests say."""

    def error(self, chunk: bytes) -> None:
        """Take the next bytes of the report."""
        for line in self._lines.feed(chunk):
            self._take(line)

    def end(self) -> None:
        """Take a last line without an end."""
        self._take(self._lines.end())

    def _take(self, line: str) -> None:
        if not line.startswith("{"):
            return
        try:
            event: dict[str, Any] = json.loads(line)
        except (ValueError, RecursionError):
            return
        if event.get("outcome") in OUTCOMES:
            number = event.get("line")
            test, file, message = (str(event.get(key, "")) for key in ("test", "file", "message"))
            self.report.add(
                event["outcome"], test, file, number if type(number) is int else 0, message
            )
        elif isinstance(event.get("problem"), str):
            self.report.problem = event["problem"][:500]
