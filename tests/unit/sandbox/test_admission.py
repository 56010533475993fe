from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from stockade.model.errors import MachineError
from stockade.sandbox import admission
from stockade.sandbox.admission import NEED, Admission, available_memory

pytestmark = pytest.mark.anyio

_MIB = 1 << 20
_ONE = NEED + 512 * _MIB  # what one machine takes, with what the host keeps
_PATIENCE = 20.0  # seconds until a test that waits in vain fails


class Host:
    """So much memory as a test says; it notes when it was looked at."""

    def __init__(self, available: int) -> None:
        self.available = available
        self.looked = anyio.Event()

    def __call__(self) -> int:
        self.looked.set()
        return self.available


async def _wait(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(_PATIENCE):
        while not holds():
            await anyio.lowlevel.checkpoint()


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_LOOK", 0.0)


async def test_a_machine_that_fits_is_let_in_at_once() -> None:
    async with Admission(available=Host(_ONE), patience=0).machine():
        pass


async def test_what_starts_already_counts_until_it_has_started() -> None:
    """The host does not see yet what machines are about to take."""
    door = Admission(available=Host(_ONE + NEED), patience=0)
    async with door.machine(), door.machine():
        with pytest.raises(MachineError):
            async with door.machine():
                pass
    async with door.machine():
        pass


async def test_one_that_fails_to_start_gives_its_place_back() -> None:
    door = Admission(available=Host(_ONE), patience=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with door.machine():
                raise ZeroDivisionError


async def test_a_refusal_says_how_much_there_is_and_what_to_do() -> None:
    door = Admission(available=Host(200 * _MIB), patience=0)
    with pytest.raises(MachineError) as caught:
        async with door.machine():
            pass
    assert str(caught.value) == (
        "the host is short of memory: a machine takes 608MiB and 200MiB are left;"
        " none came free within 0 s"
    )
    assert caught.value.hint.startswith("End machines (see stockade ps)")


async def test_who_waits_is_let_in_when_there_is_room() -> None:
    host = Host(0)
    door = Admission(available=host)
    entered = anyio.Event()

    async def enter() -> None:
        async with door.machine():
            entered.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await host.looked.wait()
        assert not entered.is_set()
        host.available = _ONE
        with anyio.fail_after(_PATIENCE):
            await entered.wait()


async def test_of_those_that_wait_one_comes_after_another() -> None:
    host = Host(0)
    door = Admission(available=host)
    inside, most, done = 0, 0, 0
    leave = anyio.Event()

    async def enter() -> None:
        nonlocal inside, most, done
        async with door.machine():
            inside += 1
            most = max(most, inside)
            await leave.wait()
            inside -= 1
        done += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(enter)
        await host.looked.wait()
        host.available = _ONE
        await _wait(lambda: inside > 0)
        leave.set()
        await _wait(lambda: done == 5)
    assert most == 1


async def test_no_more_wait_than_the_queue_holds() -> None:
    host = Host(0)
    door = Admission(available=host, queue=2)
    entered = 0

    async def enter() -> None:
        nonlocal entered
        async with door.machine():
            entered += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(enter)
        await _wait(lambda: door._waiting == 2)
        with pytest.raises(MachineError, match="2 machines wait for it already"):
            async with door.machine():
                pass
        host.available = 10 * _ONE
    assert entered == 2


async def test_who_gives_up_waiting_makes_room_for_another() -> None:
    host = Host(0)
    door = Admission(available=host, queue=1)

    async def enter() -> None:
        async with door.machine():
            raise AssertionError("there was no room")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await _wait(lambda: door._waiting == 1)
        tasks.cancel_scope.cancel()
    assert door._waiting == 0
    host.available = _ONE
    async with door.machine():
        pass


def test_the_host_has_some_memory() -> None:
    assert 0 < available_memory() < 1 << 50
