"""What `go test -json` of Go 1.19 really said of a small project, and what it might say."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stockade.tools.suites.gotest import GoReader
from stockade.tools.suites.report import OUTCOMES, Failure

_RECORDED = Path(__file__).parents[1] / "recorded"


def test_a_real_report_is_read() -> None:
    reader = GoReader("example.com/shop")
    reader.error((_RECORDED / "go.stderr").read_bytes())
    reader.output((_RECORDED / "go.stdout").read_bytes())
    reader.end()
    assert reader.report.counts == {"passed": 2, "failed": 3, "error": 1, "skipped": 1}
    wrong, two, panic, broken = reader.report.failures
    cart = "example.com/shop/cart"
    assert wrong == Failure(f"{cart}.TestWrong", "cart/cart_test.go", 8, "Add(1, 2) = 3, want 4")
    assert two == Failure(f"{cart}.TestTable/two", "cart/cart_test.go", 13, "two is bad\nreally")
    assert (panic.file, panic.line) == ("panics/p_test.go", 5)
    assert panic.message.startswith("panic: assignment to entry in nil map")
    assert broken == Failure(
        "example.com/shop/broken", "broken/broken_test.go", 5, "y declared but not used"
    )


def test_a_group_that_fails_by_itself_counts() -> None:
    reader = GoReader()
    for action, test in (("pass", "TestA/one"), ("fail", "TestA"), ("pass", "TestB")):
        event = {"Action": action, "Package": "p", "Test": test}
        reader.output(json.dumps(event).encode() + b"\n")
    reader.end()
    assert reader.report.counts == {"passed": 2, "failed": 1}


def test_build_output_within_the_report_is_read() -> None:
    reader = GoReader("m")
    for said in ("# m/a [m/a.test]\n", "a/x_test.go:3:2: undefined: y\n"):
        event = {"Action": "build-output", "ImportPath": "m/a", "Output": said}
        reader.output(json.dumps(event).encode() + b"\n")
    reader.output(json.dumps({"Action": "fail", "Package": "m/a"}).encode())
    reader.end()
    assert reader.report.failures == [Failure("m/a", "a/x_test.go", 3, "undefined: y")]


_EVENT = st.fixed_dictionaries(
    {},
    optional={
        "Action": st.sampled_from(["run", "output", "pass", "fail", "skip", "build-output"]),
        "Package": st.sampled_from(["p", "p/q"]) | st.none(),
        "Test": st.sampled_from(["T", "T/a", "T/a/b", ""]) | st.integers(),
        "Output": st.text(max_size=30) | st.sampled_from(["  a.go:1: x", "FAIL p [build failed]"]),
    },
)


@given(st.lists(_EVENT.map(lambda event: json.dumps(event).encode() + b"\n") | st.binary()))
def test_whatever_is_said_is_a_report(chunks: list[bytes]) -> None:
    reader = GoReader("p")
    for chunk in chunks:
        reader.output(chunk)
        reader.error(chunk)
    reader.end()
    assert set(reader.report.counts) <= set(OUTCOMES)


def test_memory_is_bounded() -> None:
    reader = GoReader()
    for number in range(3000):
        event = {"Action": "output", "Package": "p", "Test": f"T{number}", "Output": "x" * 3000}
        reader.output(json.dumps(event).encode() + b"\n")
        reader.error(f"# package{number}\n".encode())
    assert len(reader._said) <= 1000
    assert len(reader._unbuilt) <= 100
