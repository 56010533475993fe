"""One machine's life, with a backend that is played; the real one is in ``tests/functional``."""

from __future__ import annotations

import os
import socket
from array import array
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.unit.sandbox.conftest import Peer, open_descriptors
from tests.unit.sandbox.played import (
    Agent,
    FailingBackend,
    PlayedBackend,
    PlayedMachine,
    greet_and_wait,
    hang_up,
)
from tests.unit.sandbox.test_ram import MEMORY, MappingProcess

from stockade.model.errors import MachineError, MachineKilledError, MissingToolError
from stockade.sandbox import machine, registry
from stockade.sandbox.backends.base import Hardware
from stockade.sandbox.machine import Machine
from stockade.sandbox.ram import Pages, changed_pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from stockade.sandbox.backends.base import Backend

pytestmark = pytest.mark.anyio

_NOWHERE = Path("/nonexistent")


def _hardware(state: int | None = None) -> Hardware:
    return Hardware(
        machine=registry.new_id(),
        cpus=1,
        memory=MEMORY,
        kernel=_NOWHERE,
        initramfs=_NOWHERE,
        disks=(),
        state=state,
        deferred=state is not None,
    )


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of its own, in which no machine may leave anything."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    before = open_descriptors()
    yield tmp_path
    assert list(tmp_path.glob("stockade/machines/*")) == []
    # One descriptor more may be the janitor's pipe.
    assert len(open_descriptors() - before) <= 1


@asynccontextmanager
async def _started(backend: Backend, hardware: Hardware | None = None) -> AsyncIterator[Machine]:
    async with anyio.create_task_group() as tasks:
        started = await Machine.start(backend, hardware or _hardware(), tasks)
        try:
            yield started
        finally:
            await started.close()


async def test_it_is_adopted_and_then_answers() -> None:
    agent = Agent()
    backend = PlayedBackend(agent)
    async with _started(backend) as started:
        assert set(started.timings) == {"launch", "boot"}
        assert (started.id, started.pid) == (backend.hardware[0].machine, os.getpid())
        await started.ping()
        assert not started.ended
    assert [request["op"] for request in agent.requests] == ["ping"]
    (played,) = backend.machines
    assert len(played.adoptions) == 1
    assert played.closed == 1
    assert played.commands == []  # the monitor is used when there is something to do


async def test_what_a_copy_said_in_its_former_life_is_not_heard() -> None:
    async def play(peer: Peer) -> None:
        await Agent()(peer)

    class Talking(PlayedMachine):
        async def wait(self) -> str:
            # Frames for another host, some half said, before the host's own word has come.
            other = Peer(self.ends.channel)
            await other.flush()
            await other.raw(b"\3\0\xff\xff" * 5000 + b"\0")
            return await super().wait()

    class Backend(PlayedBackend):
        kind = Talking

    async with _started(Backend(play)) as started:
        await started.ping()


async def test_closing_twice_is_closing_once_and_every_use_says_so() -> None:
    backend = PlayedBackend(Agent())
    async with _started(backend) as started:
        for _ in range(2):
            await started.close()
        with pytest.raises(MachineError, match=r"^the machine is closed$"):
            await started.ping()
        with pytest.raises(MachineError):
            await started.stop()
        assert started.ended


async def test_stopping_going_on_and_saving_are_the_monitors() -> None:
    backend = PlayedBackend(Agent())
    async with _started(backend) as started:
        await started.stop()
        assert await started.save_devices() == b"state"
        await started.go_on()
    assert backend.machines[0].commands == [
        "qmp_capabilities", "stop", "xen-save-devices-state", "cont",
    ]  # fmt: skip


async def test_a_backend_that_fails_leaves_nothing() -> None:
    async with anyio.create_task_group() as tasks:
        with pytest.raises(MissingToolError, match="nothing is installed"):
            await Machine.start(FailingBackend(), _hardware(), tasks)


@pytest.mark.parametrize(("words", "said"), [("", ""), ("Kernel panic", ": Kernel panic")])
async def test_one_that_ends_is_quoted(words: str, said: str) -> None:
    backend = PlayedBackend(hang_up, words)
    async with _started(backend) as started:
        with pytest.raises(MachineError, match=f"^the machine has ended{said}$"):
            await started.ping()
        assert started.ended
    assert backend.machines[0].closed == 1


async def test_one_that_never_speaks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(PlayedMachine):
        async def wait(self) -> str:
            await anyio.sleep_forever()
            return ""

    class Backend(PlayedBackend):
        kind = Mute

    monkeypatch.setattr(machine, "_BOOT", 0.05)
    backend = Backend(greet_and_wait)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(MachineError, match=r"did not start within 0.05 s"):
            await Machine.start(backend, _hardware(), tasks)
    assert backend.machines[0].closed == 1


@pytest.mark.parametrize("moment", range(6))
async def test_a_start_that_is_cancelled_leaves_nothing(moment: int) -> None:
    backend = PlayedBackend(greet_and_wait if moment % 2 else Agent())
    started = None
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:

            async def cancel() -> None:
                for _ in range(moment):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            tasks.start_soon(cancel)
            started = await Machine.start(backend, _hardware(), tasks)
        if started:
            await started.close()
    assert all(played.closed for played in backend.machines)


async def test_one_that_is_killed_by_a_person_says_so() -> None:
    backend = PlayedBackend(Agent())
    async with _started(backend) as started:
        started.register(backend="played", image="i", profile="p", command=["true"])
        (record,) = registry.machines()
        assert (record.id, record.pid, record.owner) == (started.id, os.getpid(), os.getpid())
        # As stockade kill does; the process here is this one, and so is not killed.
        (registry.folder_of(started.id) / "killed").touch()
        backend.machines[0].ends.channel.shutdown(socket.SHUT_RDWR)
        with pytest.raises(MachineKilledError, match="ended by stockade kill"):
            await started.ping()
    assert registry.machines() == []


async def test_pages_are_put_before_it_goes_on(tmp_path: Path) -> None:
    """Into a real process that maps a file as a hypervisor does; only the monitor is played."""
    ram = tmp_path / "machine" / "ram"
    ram.parent.mkdir()
    ram.write_bytes(os.urandom(MEMORY))
    source, target = (MappingProcess(ram) for _ in range(2))

    class Backend(PlayedBackend):
        async def start(self, hardware: Hardware) -> PlayedMachine:
            made = await super().start(hardware)
            made.pid = target.pid
            return made

    source.do("write", [[3, 1], [4, 2], [60, 3]])
    pages = changed_pages(source.pid, MEMORY)
    backend = Backend(Agent())
    try:
        async with anyio.create_task_group() as tasks:
            started = await Machine.start(backend, _hardware(77), tasks, pages=_given(pages))
            assert target.do("digest") == source.do("digest")
            await started.close()
        assert backend.machines[0].commands == [
            "qmp_capabilities", "query-status", "migrate-incoming",
        ]  # fmt: skip
    finally:
        pages.close()
        source.end()
        target.end()


async def test_pages_that_do_not_fit_end_the_machine() -> None:
    backend = PlayedBackend(Agent())
    pages = Pages(array("Q", [1 << 40, 1]), os.memfd_create("pages"))
    async with anyio.create_task_group() as tasks:
        with pytest.raises(MachineError, match="not of a machine of this size"):
            await Machine.start(backend, _hardware(77), tasks, pages=_given(pages))
    pages.close()
    assert backend.machines[0].closed == 1
    assert "migrate-incoming" not in backend.machines[0].commands


async def test_pages_that_cannot_be_made_end_the_machine() -> None:
    backend = PlayedBackend(Agent())

    async def fail() -> Pages:
        assert len(backend.machines) == 1  # the hypervisor starts meanwhile
        raise MachineError("the machine has ended")

    async with anyio.create_task_group() as tasks:
        with pytest.raises(MachineError, match="the machine has ended"):
            await Machine.start(backend, _hardware(77), tasks, pages=fail)
    assert backend.machines[0].closed == 1
    assert "migrate-incoming" not in backend.machines[0].commands


def _given(pages: Pages) -> Callable[[], Awaitable[Pages]]:
    async def give() -> Pages:
        return pages

    return give
