from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stockade.guest.loop import READ, WRITE, Loop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


def _start(*argv: str) -> int:
    return os.posix_spawn(argv[0], list(argv), {})


def test_a_ready_descriptor_is_reported(loop: Loop, pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    seen: list[bytes] = []

    def ready(_events: int) -> None:
        seen.append(os.read(read_end, 10))
        loop.stop()

    loop.watch(read_end, READ, ready)
    os.write(write_end, b"hello")
    loop.run()
    assert seen == [b"hello"]


def test_interest_can_change_and_so_can_the_handler(loop: Loop, pipe: tuple[int, int]) -> None:
    _, write_end = pipe
    calls: list[str] = []

    def first(_events: int) -> None:
        calls.append("first")
        loop.watch(write_end, WRITE, second)

    def second(events: int) -> None:
        assert events & WRITE
        calls.append("second")
        loop.stop()

    loop.watch(write_end, WRITE, first)
    loop.run()
    assert calls == ["first", "second"]


@pytest.mark.parametrize("silence", ["forget", "no events"])
def test_a_descriptor_no_longer_watched_is_silent_even_when_hung_up(
    loop: Loop, silence: str
) -> None:
    read_end, write_end = os.pipe()
    loop.watch(read_end, READ, lambda _events: pytest.fail("it was to be silent"))
    if silence == "forget":
        loop.forget(read_end)
        loop.forget(read_end)
    else:
        loop.watch(read_end, 0, lambda _events: pytest.fail("it was to be silent"))
    # A hang-up that cannot be ignored would have the loop spin for ever.
    os.close(write_end)
    loop.every(0.0, "stop", loop.stop)
    loop.run()
    os.close(read_end)


def test_what_can_be_read_is_known_without_reading(loop: Loop, pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    assert not loop.readable(read_end)  # as it is not watched
    loop.watch(read_end, READ, lambda _events: pytest.fail("the loop does not run"))
    assert not loop.readable(read_end)
    os.write(write_end, b"x")
    assert loop.readable(read_end)
    assert not loop.readable(write_end)


def test_a_descriptor_forgotten_by_the_handler_before_it_is_not_served(loop: Loop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    served: list[int] = []

    def ready(events: int) -> None:
        served.append(events)
        for read_end, _ in pipes:
            loop.forget(read_end)
        loop.stop()

    for read_end, write_end in pipes:
        loop.watch(read_end, READ, ready)
        os.write(write_end, b"x")
    loop.run()
    assert len(served) == 1
    for fd in (fd for pair in pipes for fd in pair):
        os.close(fd)


def test_a_timer_repeats_until_it_is_cancelled(loop: Loop) -> None:
    calls: list[str] = []

    def tick() -> None:
        calls.append("tick")
        if len(calls) == 3:
            loop.cancel("ticker")
            loop.cancel("ticker")
            loop.every(0.001, "end", loop.stop)

    loop.every(0.001, "ticker", tick)
    loop.run()
    assert calls == ["tick"] * 3


def test_a_timer_cancelled_by_one_that_is_due_with_it_does_not_fire(loop: Loop) -> None:
    loop.every(0.0, "first", lambda: loop.cancel("second"))
    loop.every(0.0, "second", lambda: pytest.fail("it was cancelled"))
    loop.every(0.0, "last", loop.stop)
    loop.run()


def test_a_timer_may_be_replaced_by_its_own_action(loop: Loop) -> None:
    calls: list[str] = []

    def replace() -> None:
        calls.append("old")
        loop.every(0.0, "key", new)

    def new() -> None:
        calls.append("new")
        loop.stop()

    loop.every(0.0, "key", replace)
    loop.run()
    assert calls == ["old", "new"]


def test_the_end_of_a_child_is_reported_with_its_status(loop: Loop) -> None:
    statuses: list[int] = []

    def ended(status: int) -> None:
        statuses.append(status)
        loop.stop()

    loop.on_exit(_start("/bin/sh", "-c", "exit 7"), ended)
    loop.run()
    assert [os.waitstatus_to_exitcode(status) for status in statuses] == [7]


def test_children_that_end_together_are_all_collected(loop: Loop) -> None:
    left: set[int] = set()

    def ended(pid: int) -> None:
        left.discard(pid)
        if not left:
            loop.stop()

    for _ in range(8):
        pid = _start("/bin/sh", "-c", "kill -9 $$")
        left.add(pid)
        loop.on_exit(pid, lambda _status, pid=pid: ended(pid))  # type: ignore[misc]
    loop.run()
    assert not left


def test_orphans_that_nobody_asked_about_are_collected_too(loop: Loop) -> None:
    """As process 1 the agent inherits them; each would stay a zombie, and count as a process."""
    stray = _start("/bin/true")
    # A zombie would still be listed there.
    loop.every(0.001, "look", lambda: None if Path(f"/proc/{stray}").exists() else loop.stop())
    loop.run()
