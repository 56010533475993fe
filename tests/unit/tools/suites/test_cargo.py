"""What `cargo test` of Rust 1.95 really said of a small crate, and what it might say."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stockade.tools.suites.cargo import CargoReader
from stockade.tools.suites.report import OUTCOMES, Failure

_RECORDED = Path(__file__).parents[1] / "recorded"


def test_a_real_report_is_read() -> None:
    reader = CargoReader()
    reader.output((_RECORDED / "cargo.stdout").read_bytes())
    reader.error((_RECORDED / "cargo.stderr").read_bytes())
    reader.end()
    assert reader.report.counts == {"passed": 2, "failed": 2, "skipped": 1}
    assert reader.report.failures == [
        Failure(
            "tests::is_wrong",
            "src/lib.rs",
            15,
            "assertion `left == right` failed\n  left: 3\n right: 4",
        ),
        Failure("tests::panics", "src/lib.rs", 18, "two\nlines"),
    ]


def test_what_does_not_compile_is_read() -> None:
    reader = CargoReader()
    reader.error((_RECORDED / "cargo-broken.stderr").read_bytes())
    reader.end()
    assert [(one.file, one.line, one.message) for one in reader.report.failures] == [
        ("src/lib.rs", 1, "mismatched types"),
        ("src/lib.rs", 1, "cannot find function `g` in this scope"),
    ]


def test_the_words_of_older_versions_are_read() -> None:
    reader = CargoReader()
    reader.output(
        b"test a ... FAILED\n\n---- a stdout ----\n"
        b"thread 'a' panicked at 'assertion failed: x', src/main.rs:7:5\n\n"
    )
    reader.end()
    assert reader.report.failures == [Failure("a", "src/main.rs", 7, "assertion failed: x")]


_LINES = st.sampled_from(
    [
        b"test a ... ok\n",
        b"test a ... FAILED\n",
        b"---- a stdout ----\n",
        b"failures:\n",
        b"test result: FAILED.\n",
        b"thread 'a' panicked at x:1:2:\n",
        b"error: x\n",
        b" --> y:1:2\n",
    ]
)


@given(st.lists(_LINES | st.binary()))
def test_whatever_is_said_is_a_report(chunks: list[bytes]) -> None:
    reader = CargoReader()
    for chunk in chunks:
        reader.output(chunk)
        reader.error(chunk)
    reader.end()
    assert set(reader.report.counts) <= set(OUTCOMES)


def test_memory_is_bounded_and_all_are_counted() -> None:
    reader = CargoReader()
    for number in range(1000):
        reader.output(f"test t{number} ... FAILED\n---- t{number} stdout ----\n".encode())
        reader.output(b"x" * 2000 + b"\nfailures:\n")
    assert len(reader._failed) <= 100
    assert len(reader._said) <= 100
    reader.end()
    assert reader.report.counts["failed"] == 1000
