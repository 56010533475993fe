from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.quantities import (
    GIB,
    KIB,
    MAX_DURATION,
    MAX_SIZE,
    MIB,
    TIB,
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4096", 4096),
        ("1B", 1),
        ("1b", 1),
        ("64KiB", 64 * KIB),
        ("64K", 64 * KIB),
        ("64k", 64 * KIB),
        ("512MiB", 512 * MIB),
        ("512mib", 512 * MIB),
        ("512 MiB", 512 * MIB),
        ("512M", 512 * MIB),
        ("2G", 2 * GIB),
        ("2GIB", 2 * GIB),
        ("1TiB", TIB),
        ("1T", TIB),
        ("1024TiB", MAX_SIZE),
        ("007", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


# What is written in other scripts looks like a number to \d, and like a unit to a case-blind match.
# fmt: off
_NEVER = [
    "", " ", "-1", "+1", "nan", "inf", "Infinity", "1_000", "0x10", "1e3", "٣",
    "\uff11", "1\n", "\0",
]
_NOT_SIZES = [
    *_NEVER, "0", "0MiB", "1.5GiB", "1MB", "1KB", "MiB", "1  MiB", " 1MiB", "1MiB ", "1iB", "1P",
    "1\u212a", "1\u212aiB", "1MiB1", "1025TiB", "9" * 21, "9" * 20,
]
_NOT_DURATIONS = [
    *_NEVER, "0", "0s", "0.0", "0h0m", "1.s", ".5s", "30m1h", "1m1m", "1h 30m", "1H", "1M", "1w",
    "10:30", "1h30", "366d", "1.0000000000s", "9" * 13,
]
# fmt: on


@pytest.mark.parametrize("text", _NOT_SIZES)
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size|out of range") as caught:
        parse_size(text)
    assert repr(text)[:20] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("1.5", 1.5),
        ("250ms", 0.25),
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1d1h1m1s1ms", 90061.001),
        ("90m", 5400.0),
        ("0.5h", 1800.0),
        ("365d", MAX_DURATION),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", _NOT_DURATIONS)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|out of range") as caught:
        parse_duration(text)
    assert repr(text)[:20] in str(caught.value)


@pytest.mark.parametrize("text", [*_NEVER, "1.0", "2 ", "9" * 13])
def test_what_is_not_a_count(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        parse_count(text)


def test_counts() -> None:
    assert parse_count("256") == 256
    assert parse_count("0") == 0


@pytest.mark.parametrize("unit", ["1", "1h", "1.", " ", "٣"])
@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count])
def test_a_long_value_is_refused_at_once_and_quoted_in_part(parse: object, unit: str) -> None:
    assert callable(parse)
    started = time.perf_counter()
    with pytest.raises(ValueError, match=r"\.\.\.'") as caught:
        parse(unit * 500_000)
    assert time.perf_counter() - started < 1
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@given(st.integers(1, MAX_SIZE))
def test_a_size_survives_being_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(1, 1024), st.sampled_from(["KiB", "MiB", "GiB"]))
def test_a_whole_size_is_written_as_it_was_read(count: int, unit: str) -> None:
    text = f"{count}{unit}" if count < 1024 else "1MiB"
    assert format_size(parse_size(text)) == text


@given(st.integers(1, int(MAX_DURATION) * 1000))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse, most in ((parse_size, MAX_SIZE), (parse_duration, MAX_DURATION)):
        try:
            value = parse(text)
        except ValueError as error:
            refusal = str(error)
            assert refusal.isprintable(), refusal
        else:
            assert 0 < value <= most


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.25, "250ms"),
        (1.5, "1.5s"),
        (10, "10s"),
        (59.9999, "1m"),
        (600, "10m"),
        (5400, "1h30m"),
        (62.5, "1m2.5s"),
        (90061.001, "1d1h1m1.001s"),
    ],
)
def test_durations_are_written_as_people_would(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_sizes_are_written_as_people_would() -> None:
    assert format_size(0) == "0B"
    assert format_size(1536 * MIB) == "1536MiB"
    assert format_size(1000) == "1000B"
    assert format_size(18 * MIB + 12_345, exact=False) == "18.0MiB"
    assert format_size(512 * MIB, exact=False) == "512MiB"
    assert format_size(0, exact=False) == "0B"


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_no_text_for_what_is_no_duration(seconds: float) -> None:
    with pytest.raises(ValueError, match="never negative"):
        format_duration(seconds)


def test_no_text_for_a_negative_size() -> None:
    with pytest.raises(ValueError, match="never negative"):
        format_size(-1)
