"""Reads ``cargo test``, whose only stable report is text."""

from __future__ import annotations

import re

from stockade.tools.suites.lines import LineReader
from stockade.tools.suites.report import ERROR, FAILED, MOST_FAILURES, PASSED, SKIPPED, Report

_TEST = re.compile(r"test (.{1,500}?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)\b")
_SECTION = re.compile(r"---- (.{1,500}) stdout ----")
_PANIC = re.compile(r"thread '.{0,500}' (?:\(\d+\) )?panicked at (.{1,500}):(\d{1,9}):\d{1,9}:")
_OLD_PANIC = re.compile(
    r"thread '.{0,500}' panicked at '(.*)', (.{1,500}):(\d{1,9}):\d{1,9}"
)  # before 1.73
_COMPILER = re.compile(r"error(?:\[E\d+\])?: (.*)")
_ARROW = re.compile(r"\s*--> (.{1,500}):(\d{1,9}):\d{1,9}")
_OUTCOMES = {"ok": PASSED, "ignored": SKIPPED}
_MOST_LINES = 40


class CargoReader(LineReader):
    """See ``report.Reader``."""

    def __init__(self) -> None:
        super().__init__()
        self.report = Report()
        self._failed: list[str] = []
        self._more = 0
        self._said: dict[str, list[str]] = {}
        self._section: list[str] | None = None
        self._complaint = ""

    def end(self) -> None:
        """Count what has no summary after it."""
        super().end()
        self._flush()

    def _take(self, line: str) -> None:
        if match := _SECTION.fullmatch(line):
            self._section = []
            if len(self._said) < MOST_FAILURES:
                self._said[match[1]] = self._section
        elif line.startswith(("test result: ", "failures:")):
            self._section = None
            if line.startswith("test result: "):
                self._flush()
        elif self._section is not None:
            if len(self._section) < _MOST_LINES:
                self._section.append(line[:1000])
        elif match := _TEST.match(line):
            self._count(match[1], match[2])

    def _count(self, name: str, outcome: str) -> None:
        if outcome in _OUTCOMES:
            self.report.add(_OUTCOMES[outcome], name)
        elif len(self._failed) < MOST_FAILURES:
            self._failed.append(name)
        else:
            self._more += 1

    def _flush(self) -> None:
        """Count the failures of one program's tests, by now with what they have said."""
        for name in self._failed:
            file, line, message = _explain(self._said.get(name, []))
            self.report.add(FAILED, name, file, line, message)
        self.report.counts[FAILED] += self._more
        self._failed.clear()
        self._said.clear()
        self._more = 0

    def _compile(self, line: str) -> None:
        if match := _COMPILER.match(line):
            self._complaint = match[1][:1000]
        elif self._complaint and (match := _ARROW.match(line)):
            self.report.add(ERROR, "(compiler)", match[1], int(match[2]), self._complaint)
            self._complaint = ""


def _explain(lines: list[str]) -> tuple[str, int, str]:
    for index, line in enumerate(lines):
        if match := _PANIC.match(line):
            message = []
            for other in lines[index + 1 :]:
                if other.startswith(("stack backtrace:", "note: ")):
                    break
                message.append(other)
            return match[1], int(match[2]), "\n".join(message).strip()
        if match := _OLD_PANIC.match(line):
            return match[2], int(match[3]), match[1]
    return "", 0, "\n".join(lines).strip()
