from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stockade.tools.suites.lines import Lines


@given(st.lists(st.text("ab\r\n", max_size=6).map(str.encode)))
def test_lines_are_the_same_whatever_the_chunks(chunks: list[bytes]) -> None:
    lines = Lines()
    found = [line for chunk in chunks for line in lines.feed(chunk)] + [lines.end()]
    whole = b"".join(chunks).decode().split("\n")
    assert found == [line.removesuffix("\r") for line in whole]


def test_a_line_is_cut_where_it_is_too_long() -> None:
    lines = Lines(most=4)
    assert lines.feed(b"abc") == []
    assert lines.feed(b"def") == []
    assert lines.feed(b"ghi\nxy") == ["abcd"]
    assert lines.end() == "xy"
