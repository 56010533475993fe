from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from stockade.tools.text import Clip, clip, decode, one_line


@given(st.lists(st.binary(max_size=50)), st.integers(0, 60))
def test_the_first_and_the_last_are_kept_and_the_rest_is_counted(
    chunks: list[bytes], most: int
) -> None:
    kept = Clip(most)
    for chunk in chunks:
        kept.add(chunk)
    data = b"".join(chunks)
    assert kept.size == len(data)
    if len(data) <= most:
        assert kept.text == kept.head == decode(data)
        return
    head, tail = data[: most - most // 2], data[len(data) - most // 2 :]
    gap = f"\n[... {len(data) - most} bytes left out ...]\n"
    assert kept.text == decode(head) + gap + decode(tail)
    assert kept.head == decode(head)


def test_memory_is_bounded_whatever_the_chunks() -> None:
    kept = Clip(1000)
    for _ in range(100_000):
        kept.add(b"x")
    assert sum(map(len, kept._tail)) <= 1001
    assert len(kept._head) == 500


def test_text_is_cut_in_its_middle() -> None:
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdef", 4) == "ab\n[... 2 bytes left out ...]\nef"
    assert clip("\ud800", 4) == "?"


@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_line(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most + 3
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
