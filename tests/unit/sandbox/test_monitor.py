"""The host's end of a monitor, against a hypervisor that follows a script."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from stockade.model.errors import MachineError
from stockade.sandbox import monitor
from stockade.sandbox.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio

_GREETING = b'{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}\r\n'
_DONE = b'{"return": {}}\r\n'
_EVENT = b'{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}\r\n'
_PATIENCE = 20.0  # seconds until a test that waits in vain fails


@dataclass
class _Hypervisor:
    """The other end of ``monitor``."""

    monitor: Monitor
    end: socket.socket
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.end.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(self.end)

    async def hear(self) -> dict[str, Any]:
        """Return the next command, without what its answer would be known by."""
        line = b""
        with anyio.fail_after(_PATIENCE):
            while not line.endswith(b"\n"):
                await anyio.wait_readable(self.end)
                chunk = self.end.recv(1)
                if not chunk:
                    raise ConnectionResetError("the host has hung up")
                line += chunk
        self.heard.append(json.loads(line))
        return self.heard[-1]

    def answer(self, result: object) -> bytes:
        """The answer to the last command."""
        known = {"id": self.heard[-1]["id"]} if "id" in self.heard[-1] else {}
        return json.dumps({"return": result, **known}).encode() + b"\r\n"

    async def greet(self) -> None:
        """Say hello and agree on what is spoken."""
        await self.say(_GREETING)
        assert (await self.hear())["execute"] == "qmp_capabilities"
        await self.say(self.answer({}))


@pytest.fixture
async def hypervisor() -> AsyncIterator[_Hypervisor]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        yield _Hypervisor(Monitor(ours), theirs)


async def test_a_command_is_done_and_gives_back_what_it_returns(hypervisor: _Hypervisor) -> None:
    async def play() -> None:
        await hypervisor.greet()
        asked = await hypervisor.hear()
        assert (asked["execute"], asked["arguments"]) == ("migrate", {"block-size": 4, "uri": "x"})
        await hypervisor.say(hypervisor.answer({"status": "running"}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        found = await hypervisor.monitor.command("migrate", block_size=4, uri="x")
    assert found == {"status": "running"}


async def test_it_agrees_once_and_then_commands_follow_one_another(hypervisor: _Hypervisor) -> None:
    async def play() -> None:
        await hypervisor.greet()
        for _ in range(10):
            await hypervisor.hear()
            await hypervisor.say(hypervisor.answer(hypervisor.heard[-1]["arguments"]["number"]))

    results: dict[int, int] = {}

    async def ask(number: int) -> None:
        results[number] = await hypervisor.monitor.command("x", number=number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        for number in range(10):  # all at once: they take turns
            tasks.start_soon(ask, number)
    assert results == {number: number for number in range(10)}


async def test_events_are_passed_over_wherever_they_come(hypervisor: _Hypervisor) -> None:
    async def play() -> None:
        await hypervisor.say(_GREETING + _EVENT)
        await hypervisor.hear()
        await hypervisor.say(_EVENT * 3 + hypervisor.answer({}) + _EVENT[:20])
        await hypervisor.say(_EVENT[20:] * 1)
        await hypervisor.hear()
        for byte in _EVENT + hypervisor.answer("done") + _EVENT:
            await hypervisor.say(bytes([byte]))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        assert await hypervisor.monitor.command("stop") == "done"


async def test_open_files_are_handed_over(hypervisor: _Hypervisor) -> None:
    readable, writable = os.pipe()
    got: list[int] = []

    async def play() -> None:
        await hypervisor.greet()
        await anyio.wait_readable(hypervisor.end)
        line, fds, _, _ = socket.recv_fds(hypervisor.end, 4096, 4)
        got.extend(fds)
        hypervisor.heard.append(json.loads(line))
        await hypervisor.say(hypervisor.answer({}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        await hypervisor.monitor.command("getfd", fds=[writable], fdname="it")
    os.close(writable)
    (theirs,) = got
    os.write(theirs, b"by the hypervisor")
    os.close(theirs)
    assert os.read(readable, 100) == b"by the hypervisor"
    os.close(readable)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"class": "GenericError", "desc": "it is running"}, "it is running"),
        ({"class": "CommandNotFound", "desc": "\x1b[2J\x07\u202eroot# "}, "CommandNotFound"),
        ("x" * 5000, "xxx"),
        (None, "None"),
        ([], ""),
    ],
)
async def test_a_refusal_is_told_in_one_short_line_and_it_goes_on(
    hypervisor: _Hypervisor, error: object, said: str
) -> None:
    async def play() -> None:
        await hypervisor.greet()
        asked = await hypervisor.hear()
        known = {"id": asked["id"]} if "id" in asked else {}
        await hypervisor.say(json.dumps({"error": error, **known}).encode() + b"\n")
        await hypervisor.hear()
        await hypervisor.say(hypervisor.answer(7))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        with pytest.raises(MachineError, match=r"^the hypervisor refused 'stop': ") as caught:
            await hypervisor.monitor.command("stop")
        assert said in str(caught.value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300
        assert await hypervisor.monitor.command("cont") == 7


@pytest.mark.parametrize(
    ("garbage", "said"),
    [
        (b"\n", "the hypervisor said what is no QMP"),
        (b"QEMU 7.2 monitor - type 'help'\n", "the hypervisor said what is no QMP"),
        (b"[]\n", "the hypervisor said what is no QMP"),
        (b"1\n", "the hypervisor said what is no QMP"),
        (b"\xff\xfe\n", "the hypervisor said what is no QMP"),
        (b"[" * 100_000 + b"\n", "the hypervisor said what is no QMP"),
        (b'{"a":' * 100_000 + b"\n", "the hypervisor said what is no QMP"),
        (b"9" * 100_000 + b"\n", "the hypervisor said what is no QMP"),
        (b"x" * (3 << 20), "the hypervisor said more than it should"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("greeted", [True, False])
async def test_whatever_it_says_ends_in_one_machine_error(
    hypervisor: _Hypervisor, garbage: bytes, said: str, greeted: bool
) -> None:
    async def play() -> None:
        if greeted:
            await hypervisor.greet()
            await hypervisor.hear()
        await hypervisor.say(garbage)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        with pytest.raises(MachineError, match=f"^{said}$"):
            await hypervisor.monitor.command("stop")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("step", range(4))
async def test_a_hypervisor_that_hangs_up_is_gone(hypervisor: _Hypervisor, step: int) -> None:
    async def play() -> None:
        if step > 0:
            await hypervisor.say(_GREETING[: 10 if step == 1 else None])
        if step > 2:
            await hypervisor.hear()
            await hypervisor.say(hypervisor.answer({}) + b'{"retu')
        hypervisor.end.close()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        with pytest.raises(MachineError, match=r"^the hypervisor is gone"):
            await hypervisor.monitor.command("stop")
    with pytest.raises(MachineError, match=r"^the hypervisor is gone"):
        await hypervisor.monitor.command("stop")


async def test_a_silent_hypervisor_is_given_up(
    hypervisor: _Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "_PATIENCE", 0.05)
    with pytest.raises(MachineError, match=r"did not answer 'stop' within 0.05 s$"):
        await hypervisor.monitor.command("stop")


@contextmanager
def _flooded(end: socket.socket, line: bytes, seconds: float) -> Iterator[None]:
    """Have a thread say ``line`` all the time, for so long that a test fails without hanging."""
    end.setblocking(True)
    end.settimeout(seconds)
    over = time.monotonic() + seconds

    def flood() -> None:
        try:
            end.sendall(_GREETING)
            while time.monotonic() < over:
                end.sendall(line * 1000)
        except OSError:
            pass
        finally:
            end.close()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        thread.join()


async def test_a_hypervisor_that_never_pauses_is_given_up_and_holds_nobody_up(
    hypervisor: _Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "_PATIENCE", 0.3)
    with _flooded(hypervisor.end, _EVENT, 4.0):
        with pytest.raises(MachineError, match="did not answer"):
            await hypervisor.monitor.command("stop")
        hypervisor.monitor._link.close()


@pytest.mark.parametrize("how", ["late", "cancelled"])
async def test_the_answer_to_a_command_given_up_is_not_taken_for_the_next_ones(
    hypervisor: _Hypervisor, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ended = anyio.Event()

    async def play() -> None:
        await hypervisor.greet()
        await hypervisor.hear()
        late = hypervisor.answer("late")
        await ended.wait()
        await hypervisor.say(late)
        await hypervisor.hear()
        await hypervisor.say(hypervisor.answer("in time"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        if how == "late":
            monkeypatch.setattr(monitor, "_PATIENCE", 0.2)
            with pytest.raises(MachineError, match="did not answer"):
                await hypervisor.monitor.command("stop")
            monkeypatch.setattr(monitor, "_PATIENCE", _PATIENCE)
        else:
            with anyio.move_on_after(0.2):
                await hypervisor.monitor.command("stop")
        ended.set()
        # Either the right answer, or a monitor that is of no use any more and says so.
        try:
            assert await hypervisor.monitor.command("query-status") == "in time"
        except MachineError:
            tasks.cancel_scope.cancel()


async def test_a_hypervisor_that_does_not_listen_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        waiting = 0
        while True:  # until nothing more can be written
            try:
                waiting += ours.send(b"\n" * 4096)
            except BlockingIOError:
                break
        hypervisor = _Hypervisor(Monitor(ours), theirs)

        async def play() -> None:
            nonlocal waiting
            await hypervisor.say(_GREETING)
            await anyio.wait_all_tasks_blocked()
            while waiting:
                waiting -= len(theirs.recv(min(waiting, 1 << 16)))
            for answer in ("agreed", "done"):
                await hypervisor.hear()
                await hypervisor.say(hypervisor.answer(answer))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(play)
            assert await hypervisor.monitor.command("stop") == "done"
