from __future__ import annotations

from stockade.tools.suites.report import (
    ERROR,
    FAILED,
    MOST_FAILURES,
    MOST_MESSAGE,
    PASSED,
    Failure,
    Report,
)


def test_all_are_counted_and_what_failed_is_kept() -> None:
    report = Report()
    report.add(PASSED, "a")
    report.add(FAILED, "b", "f.py", 3, "why\n\x1b[2J")
    report.add(ERROR, "c", line=-1)
    assert report.counts == {PASSED: 1, FAILED: 1, ERROR: 1}
    assert report.failures == [
        Failure("b", "f.py", 3, "why\n\N{REPLACEMENT CHARACTER}[2J"),
        Failure("c", "", 0, ""),
    ]
    assert report.failures[0].as_data()["line"] == 3


def test_memory_is_bounded() -> None:
    report = Report()
    for _ in range(MOST_FAILURES + 5):
        report.add(FAILED, "t" * 10_000, "f" * 10_000, 1 << 40, "m" * 10_000)
    assert report.counts[FAILED] == MOST_FAILURES + 5
    assert len(report.failures) == MOST_FAILURES
    assert len(report.failures[0].message) == MOST_MESSAGE + 3
    assert len(report.failures[0].test) < 600
    assert report.failures[0].line == 0
