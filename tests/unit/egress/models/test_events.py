"""Streams are cut into events without losing a byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.courier.problems import BrokenOffError
from stockade.egress.models.events import Events, data

_PIECES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"data: x", b"data:", b": ping", b"event: e", b"\xff"])
)


def _cut(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    events = Events()
    found = [event for chunk in chunks for event in events.feed(chunk)]
    return found, events.rest()


@given(_PIECES, st.integers(1, 5))
def test_no_byte_is_lost_and_no_cut_matters(pieces: list[bytes], size: int) -> None:
    text = b"".join(pieces)
    found, rest = _cut([text])
    assert b"".join(found) + rest == text
    assert (found, rest) == _cut([text[i : i + size] for i in range(0, len(text), size)])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends(end: bytes) -> None:
    lines = [b"event: a", b"data: 1", b"data:2", b"", b": comment", b"data: 3", b"", b"data: 4"]
    found, rest = _cut([end.join(lines)])
    assert [data(event) for event in found] == ["1\n2", "3"]
    assert rest.endswith(b"data: 4")


def test_an_event_without_end_breaks_off() -> None:
    events = Events(100)
    assert list(events.feed(b"data: " + b"x" * 90)) == []
    with pytest.raises(BrokenOffError):
        list(events.feed(b"x" * 10))
    with pytest.raises(BrokenOffError):
        list(Events(100).feed(b"x" * 200 + b"\n\n"))


@given(st.binary(max_size=300))
def test_data_is_read_from_anything(event: bytes) -> None:
    assert isinstance(data(event), str)
