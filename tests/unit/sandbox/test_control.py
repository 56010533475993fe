from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from tests.unit.sandbox.played import Agent, PlayedBackend

from stockade.model.errors import MachineError, StockadeError
from stockade.sandbox import checkpoints, control, registry
from stockade.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.anyio

_MACHINE = "aabbccdd"
Handle = Callable[[dict[str, Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the machine's folder, at a path longer than a socket's address may be."""
    base = tmp_path / ("x" * 120)
    base.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    made = registry.folder_of(_MACHINE)
    made.mkdir(parents=True)
    return made


@asynccontextmanager
async def _served(handle: Handle) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(control.serve, _MACHINE, handle)
        await anyio.lowlevel.checkpoint()  # by its end the other one listens
        yield
        tasks.cancel_scope.cancel()


async def _ask(**request: Any) -> None:
    await to_thread.run_sync(partial(control.ask, _MACHINE, **request))


async def test_a_request_is_done_before_it_is_answered() -> None:
    done = []

    async def handle(request: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(request)

    async with _served(handle):
        await _ask(op="checkpoint", folder="/täglich")
        assert done == [{"op": "checkpoint", "folder": "/täglich"}]
        await _ask(op="pause")
    assert len(done) == 2


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (
            StockadeError("it is paused\nalready", hint="Resume it."),
            "paused\nalready",
            "Resume it.",
        ),
        (OSError("no such thing"), "no such thing", ""),
        (ExceptionGroup("both", [MachineError("it ended", hint="Look.")]), "it ended", "Look."),
    ],
    ids=["refused", "of the system", "of a task"],
)
async def test_what_cannot_be_done_is_the_askers_to_know_and_ends_nothing(
    error: Exception, message: str, hint: str
) -> None:
    async def handle(request: dict[str, Any]) -> None:
        if request["op"] == "fail":
            raise error

    async with _served(handle):
        with pytest.raises(StockadeError, match=message) as caught:
            await _ask(op="fail")
        assert caught.value.hint == hint
        await _ask(op="pause")


async def test_requests_are_served_beside_one_another() -> None:
    first, second = anyio.Event(), anyio.Event()

    async def handle(request: dict[str, Any]) -> None:
        if request["op"] == "first":
            first.set()
            await second.wait()
        else:
            await first.wait()
            second.set()

    async with _served(handle), anyio.create_task_group() as asking:
        asking.start_soon(partial(_ask, op="first"))
        asking.start_soon(partial(_ask, op="second"))


async def _connect() -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with control._short_path(registry.folder_of(_MACHINE)) as path:
        end.connect(path)
    return end


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]\n",
        b"null\n",
        b"\xff\n",
        b"[" * 50_000 + b"\n",
        b"x" * ((1 << 16) + 1),
        b'{"op": "pause"}',
    ],
    ids=["nothing", "half", "list", "null", "bytes", "deep", "endless", "unfinished"],
)
async def test_what_is_no_request_is_hung_up_on(line: bytes) -> None:
    asked = []

    async def handle(request: dict[str, Any]) -> None:
        asked.append(request)

    async with _served(handle):
        with await _connect() as end:
            await to_thread.run_sync(end.sendall, line)
            end.shutdown(socket.SHUT_WR)
            assert await to_thread.run_sync(end.recv, 100) == b""
        assert not asked
        await _ask(op="pause")
    assert asked == [{"op": "pause"}]


async def test_who_asks_and_goes_away_ends_nothing() -> None:
    begun, gone = anyio.Event(), anyio.Event()

    async def handle(request: dict[str, Any]) -> None:
        if request["op"] == "slow":
            begun.set()
            await gone.wait()

    async with _served(handle):
        with await _connect() as end:
            end.sendall(json.dumps({"op": "slow"}).encode() + b"\n")
            await begun.wait()
        gone.set()
        await _ask(op="pause")


async def test_an_owner_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(StockadeError, match=f"machine {_MACHINE} does not answer: .*No such file"):
        await _ask(op="pause")
    with socket.socket(socket.AF_UNIX) as dead, control._short_path(folder) as path:
        dead.bind(path)
    with pytest.raises(StockadeError, match=r"does not answer: .*refused"):
        await _ask(op="pause")


def test_a_machine_that_is_not_there_is_told(folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(StockadeError, match="does not answer"):
        control.ask(_MACHINE, op="pause")


@pytest.mark.usefixtures("folder")
async def test_a_pause_that_cannot_be_saved_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path / "state"))
    backend = PlayedBackend(Agent())
    async with Sandbox(backend=backend, cold=True) as box:
        # Its memory is nobody's file, so there is nothing to save.
        with pytest.raises(MachineError, match="has not mapped"):
            await control.perform(box, {"op": "pause"})
        assert not box.paused
        assert backend.machines[0].commands[-1] == "cont"
        assert checkpoints.paused_machines() == set()
        await box.pause()
        await control.perform(box, {"op": "resume"})
        assert not box.paused
        with pytest.raises(StockadeError, match="no such request: fly"):
            await control.perform(box, {"op": "fly"})
        with pytest.raises(StockadeError, match="is there already"):
            await control.perform(box, {"op": "checkpoint", "folder": str(tmp_path)})
