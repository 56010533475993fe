"""One run from start to end, on a real machine: what the caller sees of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from stockade import session
from stockade.model.profile import Profile
from stockade.sandbox import registry
from stockade.sandbox.process import Process
from stockade.sandbox.sandbox import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.machine]


class _Memory:
    """Streams in memory."""

    def __init__(self, *chunks: bytes, closed: bool = False) -> None:
        self._chunks, self._closed = chunks, closed
        self.output, self.error = b"", b""

    async def input(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    async def give_output(self, chunk: bytes) -> None:
        if self._closed:
            raise BrokenPipeError
        self.output += chunk

    async def give_error(self, chunk: bytes) -> None:
        self.error += chunk


async def test_a_run_carries_its_streams_and_reports() -> None:
    streams = _Memory(b"one ", b"two")
    seen: list[str] = []

    async def started(box: Sandbox, _process: Process) -> None:
        seen.extend(record.id for record in registry.machines() if record.id == box.id)

    report = await session.run(
        Profile(name="mine"), ["sh", "-c", "cat; echo no >&2; exit 3"], streams, started=started
    )
    assert (streams.output, streams.error) == (b"one two", b"no\n")
    assert report.outcome.code == 3
    assert report.profile == "mine"
    assert report.kernel != report.host_kernel == os.uname().release
    assert seen == [report.session]
    assert report.session not in {record.id for record in registry.machines()}


async def test_output_that_nobody_wants_ends_the_run() -> None:
    with pytest.raises(BrokenPipeError):
        await session.run(Profile(), ["yes"], _Memory(closed=True))


async def test_a_command_that_the_policy_refuses_is_not_run() -> None:
    streams = _Memory()
    forbid = 'forbid (principal, action == Action::"run", resource == Program::"touch");'
    report = await session.run(Profile(), ["touch", "/tmp/x"], streams, cedar={"no.cedar": forbid})
    assert (report.outcome.code, streams.error) == (126, b"")
    assert "forbidden by cedar:no.cedar#policy0" in report.outcome.reason
