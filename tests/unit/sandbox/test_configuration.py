from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from stockade.model.errors import MachineError, RequestError
from stockade.model.limits import Limits
from stockade.sandbox.backends.base import Disk
from stockade.sandbox.configuration import configure
from stockade.sandbox.grants import GrantDisk

if TYPE_CHECKING:
    from tests.unit.sandbox.conftest import Link

pytestmark = pytest.mark.anyio

_LIMITS = Limits(memory=123 << 20, scratch=45 << 20, processes=67)


async def _configure(
    link: Link, answer: dict[str, Any], *grants: GrantDisk
) -> tuple[str, dict[str, Any]]:
    """Return what it says of the kernel, and what the machine was told."""
    told: dict[str, Any] = {}

    async def play() -> None:
        call, request = await link.peer.request()
        told.update(request)
        await link.peer.answer(call, answer)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        kernel = await configure(link.channel, "00112233", _LIMITS, grants)
    return kernel, told


async def test_the_machine_is_told_who_it_is_and_what_it_may_use(link: Link) -> None:
    message = {"disk": "files-0", "target": "/workspace", "access": "overlay"}
    grant = GrantDisk(Disk("files-0", -1), message)
    kernel, told = await _configure(link, {"event": "done", "kernel": "6.1.0"}, grant)
    assert kernel == "6.1.0"
    machine_id = told.pop("machine_id")
    assert len(bytes.fromhex(machine_id)) == 16  # machine-id(5)
    assert told == {
        "op": "configure",
        "hostname": "stockade-00112233",
        "uid": 1000,
        "gid": 1000,
        "memory": 123 << 20,
        "scratch": 45 << 20,
        "processes": 67,
        "grants": [message],
    }


async def test_no_two_machines_have_one_id(link: Link) -> None:
    ids = {(await _configure(link, {"event": "done"}))[1]["machine_id"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize(
    "kernel", [None, 7, [], {"a": 1}, "\x1b[2J\u202e", "x" * 5000, "a\nb", "\ud800"]
)
async def test_what_the_machine_says_of_its_kernel_is_short_and_printable(
    link: Link, kernel: object
) -> None:
    said, _ = await _configure(link, {"event": "done", "kernel": kernel})
    assert said.isprintable()
    assert len(said) <= 100


async def test_a_refusal_is_an_error(link: Link) -> None:
    async def play() -> None:
        call, _ = await link.peer.request()
        await link.peer.answer(call, {"event": "failed", "kind": "system", "message": "no disk"})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        with pytest.raises(RequestError, match="no disk"):
            await configure(link.channel, "00112233", _LIMITS, ())


async def test_a_machine_that_hangs_up_is_an_error(link: Link) -> None:
    async def play() -> None:
        await link.peer.request()
        link.peer.socket.close()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        with pytest.raises(MachineError, match="the machine has ended"):
            await configure(link.channel, "00112233", _LIMITS, ())
