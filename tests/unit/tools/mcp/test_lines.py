"""Bytes into lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.tools.mcp.lines import Lines, LineTooLongError


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_lines_are_the_same_however_they_are_cut(parts: list[bytes], size: int) -> None:
    data = b"\n".join(parts) + b"\n"
    expected = [line for part in data.split(b"\n") if (line := part.strip(b"\r "))]
    lines = Lines(1000)
    found = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    assert found == expected


@given(st.binary(max_size=200))
def test_nothing_longer_than_allowed_is_kept(data: bytes) -> None:
    lines = Lines(10)
    try:
        found = list(lines.feed(data))
    except LineTooLongError:
        assert max(map(len, data.split(b"\n"))) > 10
    else:
        assert all(len(line) <= 10 for line in found)


def test_a_line_without_end_is_refused_before_it_ends() -> None:
    lines = Lines(10)
    assert list(lines.feed(b"ok\n0123456789")) == [b"ok"]
    with pytest.raises(LineTooLongError, match="more than 10 bytes"):
        list(lines.feed(b"x"))
