"""What a run of a test suite comes to. All of it is the machine's word, in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any

MOST_FAILURES = 100
"""Failures that are kept with what they say; further ones are counted."""
MOST_MESSAGE = 2000
_MOST_NAME = 500
_MOST_COUNT = 1 << 31

PASSED, FAILED, ERROR, SKIPPED = "passed", "failed", "error", "skipped"
OUTCOMES = (PASSED, FAILED, ERROR, SKIPPED)


@dataclass(frozen=True)
class Failure:
    """One test that did not pass; ``line`` is 0 and ``file`` empty where they are not known."""

    test: str
    file: str
    line: int
    message: str

    def as_data(self) -> dict[str, Any]:
        """The same for a result."""
        return {
            "test": self.test,
            "file": self.file,
            "line": self.line,
            "message": self.message,
        }


@dataclass
class Report:
    """Counts by outcome, and the failures. ``problem`` says why there may be no counts."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    problem: str = ""

    def add(
        self, outcome: str, test: str = "", file: str = "", line: int = 0, message: str = ""
    ) -> None:
        """Count one test, and keep what is said of it if it has not passed."""
        self.counts[outcome] = min(self.counts[outcome] + 1, _MOST_COUNT)
        if outcome in (FAILED, ERROR) and len(self.failures) < MOST_FAILURES:
            self.failures.append(
                Failure(
                    _text(test, _MOST_NAME),
                    _text(file, _MOST_NAME),
                    line if 0 <= line < _MOST_COUNT else 0,
                    _text(message, MOST_MESSAGE),
                )
            )


class Reader(Protocol):
    """Reads what a framework says while it runs; never raises, whatever that is."""

    report: Report

    def output(self, chunk: bytes) -> None:
        """Take the next bytes of standard output."""
        ...

    def error(self, chunk: bytes) -> None:
        """Take the next bytes of standard error."""
        ...

    def end(self) -> None:
        """Hear that this was all."""
        ...


def _text(value: str, most: int) -> str:
    kept = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in value[:most]
    )
    return kept if len(value) <= most else f"{kept}..."
