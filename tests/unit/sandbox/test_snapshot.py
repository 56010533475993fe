"""Saving and loading devices' state, with a hypervisor that is played."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.unit.sandbox.played import Ends, make_links

from stockade.model.errors import MachineError
from stockade.sandbox import monitor, snapshot
from stockade.sandbox.monitor import Monitor
from stockade.sandbox.snapshot import load_devices, save_devices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.sandbox.backends.base import Links

pytestmark = pytest.mark.anyio


@contextmanager
def _connected() -> Iterator[tuple[Links, Ends]]:
    links, ends = make_links()
    ends.monitor.setblocking(False)
    os.set_blocking(ends.saved, False)
    try:
        yield links, ends
    finally:
        links.close()
        ends.close()


async def _asked(ends: Ends) -> dict[str, object]:
    await anyio.wait_readable(ends.monitor)
    asked: dict[str, object] = json.loads(ends.monitor.recv(1 << 16))
    return asked


def _answer(ends: Ends, asked: dict[str, object], **said: object) -> None:
    known = {"id": asked["id"]} if "id" in asked else {}
    ends.monitor.send(json.dumps({**said, **known}).encode() + b"\n")


async def _save(ends: Ends, state: bytes, **said: object) -> None:
    """Greet, write ``state`` and answer."""
    ends.monitor.send(b'{"QMP": {}}\n')
    _answer(ends, await _asked(ends), **{"return": {}})
    asked = await _asked(ends)
    assert asked["execute"] == "xen-save-devices-state"
    arguments = asked["arguments"]
    assert isinstance(arguments, dict)
    assert arguments["live"] is False  # otherwise the machine would go on
    view = memoryview(state)
    while view:
        try:
            view = view[os.write(ends.saved, view) :]
        except BlockingIOError:
            await anyio.wait_writable(ends.saved)
    _answer(ends, asked, **(said or {"return": {}}))


@pytest.mark.parametrize("size", [1, 17_587, 65_536, 65_537, 3_000_000, 16 << 20])
async def test_the_state_is_whole_whatever_fits_in_a_pipe(size: int) -> None:
    state = os.urandom(size)
    with _connected() as (links, ends):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_save, ends, state)
            assert await save_devices(Monitor(links.monitor), links) == state


async def test_two_saves_are_not_mixed() -> None:
    with _connected() as (links, ends):
        asking = Monitor(links.monitor)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_save, ends, b"first")
            assert await save_devices(asking, links) == b"first"

            async def again() -> None:
                asked = await _asked(ends)
                os.write(ends.saved, b"second")
                _answer(ends, asked, **{"return": {}})

            tasks.start_soon(again)
            assert await save_devices(asking, links) == b"second"


async def test_no_state_is_an_error() -> None:
    with _connected() as (links, ends):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_save, ends, b"")
            with pytest.raises(MachineError, match="saved 0 bytes of state"):
                await save_devices(Monitor(links.monitor), links)


async def test_a_refusal_is_the_one_error() -> None:
    with _connected() as (links, ends):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: _save(ends, b"half", error={"desc": "Not a pipe\x07"}))
            with pytest.raises(MachineError, match=r"refused 'xen-save-devices-state'.*Not a pipe"):
                await save_devices(Monitor(links.monitor), links)


async def test_endless_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_PATIENCE", 0.5)
    monkeypatch.setattr(snapshot, "_STATE_LIMIT", 1 << 20)
    with _connected() as (links, ends):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_save, ends, bytes(8 << 20))
            with pytest.raises(MachineError, match=r"did not answer|bytes of state"):
                await save_devices(Monitor(links.monitor), links)
            tasks.cancel_scope.cancel()


async def test_a_hypervisor_that_dies_while_it_saves_is_gone() -> None:
    with _connected() as (links, ends):

        async def die() -> None:
            ends.monitor.send(b'{"QMP": {}}\n')
            _answer(ends, await _asked(ends), **{"return": {}})
            await _asked(ends)
            os.write(ends.saved, b"half")
            ends.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(die)
            with pytest.raises(MachineError, match=r"^the hypervisor is gone"):
                await save_devices(Monitor(links.monitor), links)


async def test_loading_names_the_descriptor() -> None:
    with _connected() as (links, ends):
        heard: list[object] = []

        async def play() -> None:
            ends.monitor.send(b'{"QMP": {}}\n')
            for _ in range(2):
                asked = await _asked(ends)
                heard.append([asked["execute"], asked["arguments"]])
                _answer(ends, asked, **{"return": {}})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(play)
            await load_devices(Monitor(links.monitor), 77)
    assert heard[1] == ["migrate-incoming", {"uri": "fd:77"}]
