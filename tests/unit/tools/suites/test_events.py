from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from stockade.tools.suites.events import EventReader
from stockade.tools.suites.report import OUTCOMES


def test_events_are_counted_and_all_else_is_left_out() -> None:
    reader = EventReader()
    reader.output(b'{"outcome": "passed"}\n')
    reader.error(b'noise\n{"outcome": "passed", "test": "a"}\n{"outcome": "fai')
    reader.error(
        b'led", "test": "b", "file": "f", "line": 2, "message": "m"}\n{"outcome": "other"}\n'
    )
    reader.error(b'{"outcome": "error", "line": "7"}')
    reader.end()
    assert reader.report.counts == {"passed": 1, "failed": 1, "error": 1}
    assert [one.line for one in reader.report.failures] == [2, 0]
    assert reader.report.problem == ""


def test_a_problem_is_kept() -> None:
    reader = EventReader()
    reader.error(b'{"problem": "no pytest"}\n{"problem": 3}\n')
    assert reader.report.problem == "no pytest"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(OUTCOMES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["outcome", "test", "line", "problem"]), inner)
    ),
)


@given(st.lists(_JSON.map(lambda value: json.dumps(value).encode() + b"\n") | st.binary()))
def test_whatever_is_said_is_a_report(chunks: list[bytes]) -> None:
    reader = EventReader()
    for chunk in [*chunks, b'\n{"outcome":' + b"[" * 100_000 + b"\n", b'{"line": ' + b"9" * 5000]:
        reader.error(chunk)
    reader.end()
    assert set(reader.report.counts) <= set(OUTCOMES)
