"""Reads ``go test -json`` (test2json): a JSON object a line, and the compiler's word as text."""

from __future__ import annotations

import json
import posixpath
import re
from collections import deque
from typing import Any

from stockade.tools.suites.lines import LineReader
from stockade.tools.suites.report import ERROR, FAILED, MOST_FAILURES, PASSED, SKIPPED, Report

_PLACE = re.compile(r"\s*(\S+?\.go):(\d+)(?::\d+)?: (.*)")
_FRAME = re.compile(r"\s+(/\S+\.go):(\d+) ")
_LIBRARY = re.compile(r"/(?:testing|runtime)/[^/]+\.go$")
_COMPILED = re.compile(r"# (\S+)")
_UNBUILT = re.compile(r"FAIL\s+(\S+) \[(?:build|setup) failed\]")
_OUTCOMES = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}
_MOST_OPEN = 1000  # tests that run at the same time, as far as their output is kept
_MOST_LINES = 40


class GoReader(LineReader):
    """See ``report.Reader``. ``module`` is what go.mod calls it, ``folder`` where that is."""

    def __init__(self, module: str = "", folder: str = "/workspace") -> None:
        super().__init__()
        self.report = Report()
        self._module, self._folder = module, folder
        self._said: dict[tuple[str, str], deque[str]] = {}
        self._groups: set[tuple[str, str]] = set()
        self._bad_groups: set[tuple[str, str]] = set()
        self._compiled = ""
        self._unbuilt: dict[str, tuple[str, int, str]] = {}

    def end(self) -> None:
        """Count what could not be built."""
        super().end()
        for package, (file, line, message) in self._unbuilt.items():
            self.report.add(ERROR, package, file, line, message or "it could not be built")
        self._unbuilt.clear()

    def _take(self, line: str) -> None:
        if match := _UNBUILT.match(line):
            self._note(match[1], "", 0, "")
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        action, said = str(event.get("Action")), str(event.get("Output", ""))
        if action == "build-output":  # since Go 1.24
            self._compile(said.rstrip("\n"))
            return
        test = (str(event.get("Package", ""))[:500], str(event.get("Test", ""))[:500])
        if not test[1]:
            if action == "output":
                self._take_plain(said)
            return
        if action == "output":
            if test in self._said or len(self._said) < _MOST_OPEN:
                self._said.setdefault(test, deque(maxlen=_MOST_LINES)).append(said[:1000])
        elif action in _OUTCOMES:
            self._finish(test, _OUTCOMES[action])

    def _take_plain(self, said: str) -> None:
        if match := _UNBUILT.match(said):
            self._note(match[1], "", 0, "")

    def _finish(self, test: tuple[str, str], outcome: str) -> None:
        lines = self._said.pop(test, deque())
        package, name = test
        parent = (package, name.rpartition("/")[0])
        if parent[1] and len(self._groups) < _MOST_OPEN:
            self._groups.add(parent)
            if outcome == FAILED:
                self._bad_groups.add(parent)
        # A test of subtests is as good as they are, and is counted by them.
        if test in self._groups and (outcome != FAILED or test in self._bad_groups):
            return
        file, line, message = (
            self._explain(package, list(lines)) if outcome == FAILED else ("", 0, "")
        )
        self.report.add(outcome, f"{package}.{name}", file, line, message)

    def _explain(self, package: str, lines: list[str]) -> tuple[str, int, str]:
        for index, line in enumerate(lines):
            if match := _PLACE.match(line):
                more = [
                    other for other in lines[index + 1 :] if not other.strip().startswith("---")
                ]
                message = "\n".join([match[3], *(other.strip() for other in more)])
                return self._file(package, match[1]), _number(match[2]), message.strip()
        message = "".join(line for line in lines if not line.lstrip().startswith(("===", "---")))
        for line in lines:
            match = _FRAME.match(line)
            if match and not _LIBRARY.search(match[1]):
                return posixpath.relpath(match[1], self._folder), _number(match[2]), message.strip()
        return "", 0, message.strip()

    def _file(self, package: str, name: str) -> str:
        if self._module and (package == self._module or package.startswith(f"{self._module}/")):
            return posixpath.join(package.removeprefix(self._module).lstrip("/"), name)
        return name

    def _compile(self, line: str) -> None:
        if match := _COMPILED.match(line):
            self._compiled = match[1]
            self._note(self._compiled, "", 0, "")
        elif (match := _PLACE.match(line)) and self._compiled:
            self._note(self._compiled, match[1].removeprefix("./"), _number(match[2]), match[3])

    def _note(self, package: str, file: str, line: int, message: str) -> None:
        """Keep the first place that the compiler names in a package."""
        known = self._unbuilt.get(package)
        if (known is None and len(self._unbuilt) < MOST_FAILURES) or (known and not known[2]):
            self._unbuilt[package] = (file, line, message[:1000])


def _number(text: str) -> int:
    return int(text) if len(text) < 10 else 0
