from __future__ import annotations

import pytest

from stockade.sandbox import stopwatch
from stockade.sandbox.stopwatch import Stopwatch


class _Time:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> _Time:
    clock = _Time()
    monkeypatch.setattr(stopwatch, "time", clock)
    return clock


def test_it_counts_from_when_it_was_made(time: _Time) -> None:
    watch = Stopwatch()
    assert watch.now() == 0
    time.now += 5
    assert watch.now() == 5
    assert not watch.paused


def test_time_spent_paused_does_not_count(time: _Time) -> None:
    watch = Stopwatch()
    for _ in range(3):
        time.now += 2
        watch.pause()
        assert watch.paused
        before = watch.now()
        time.now += 100
        assert watch.now() == before
        watch.go_on()
        assert not watch.paused
        assert watch.now() == before
    assert watch.now() == 6


def test_pausing_twice_is_pausing_once(time: _Time) -> None:
    watch = Stopwatch()
    watch.go_on()
    time.now += 1
    watch.pause()
    time.now += 10
    watch.pause()
    time.now += 10
    watch.go_on()
    time.now += 1
    watch.go_on()
    assert watch.now() == 2


def test_real_time_passes_and_stands_still() -> None:
    watch = Stopwatch()
    first = watch.now()
    assert 0 <= first <= watch.now()
    watch.pause()
    assert watch.now() == watch.now()
