from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import UNIXSocketStream
from tests.unit.egress.conftest import Pipe

from stockade.egress import streams
from stockade.egress.streams import carry

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[UNIXSocketStream, UNIXSocketStream]]:
    """Both ends of a connection: what is carried to a machine, and who speaks to it."""
    ours, theirs = map(UNIXSocketStream.from_socket, socket.socketpair())
    async with await ours as near, await theirs as far:
        yield near, far


def _uncounted(_sent: int, _received: int) -> None: ...


async def test_bytes_go_both_ways_and_are_counted() -> None:
    pipe, totals = Pipe(), [0, 0]

    def count(sent: int, received: int) -> None:
        totals[0] += sent
        totals[1] += received

    data = os.urandom(1 << 20)
    async with connected() as (ours, theirs), anyio.create_task_group() as tasks:

        async def carried() -> None:
            await carry(pipe, ours, count=count)

        async def answer() -> None:
            came = bytearray()
            while True:
                try:
                    came += await theirs.receive()
                except anyio.EndOfStream:
                    break
            await theirs.send(bytes(came[::-1]))
            await theirs.send_eof()

        tasks.start_soon(carried)
        tasks.start_soon(answer)
        pipe.say(data)
        pipe.finish()
        assert await pipe.until(len(data)) == data[::-1]
    assert (pipe.ended, pipe.abandoned) == (True, "")
    assert totals == [len(data), len(data)]


async def test_a_machine_that_takes_no_more_ends_it() -> None:
    pipe = Pipe()
    pipe.full = True
    async with connected() as (ours, theirs), anyio.create_task_group() as tasks:
        tasks.start_soon(theirs.send, b"answer")
        await carry(pipe, ours, count=_uncounted)
        assert pipe.abandoned == "the connection was cut off"
        with pytest.raises(anyio.ClosedResourceError):
            await ours.send(b"x")


async def test_a_machine_that_cuts_off_ends_it() -> None:
    pipe = Pipe()
    async with connected() as (ours, theirs):
        pipe.abandon("the machine is closed")
        await carry(pipe, ours, count=_uncounted)
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await theirs.receive()


async def test_what_carries_nothing_for_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "IDLE", 0.0)
    pipe = Pipe()
    async with connected() as (ours, _theirs):
        await carry(pipe, ours, count=_uncounted)
    assert pipe.abandoned == "nothing moved for too long"
