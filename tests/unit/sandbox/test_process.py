from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from stockade.model.errors import MachineError, RequestError
from stockade.model.limits import Limits
from stockade.model.outcome import Limit
from stockade.sandbox.process import Process, Terminal, describe
from stockade.wire import events
from stockade.wire.connection import MAX_STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.sandbox.conftest import Link

pytestmark = pytest.mark.anyio

_EXITED: dict[str, Any] = {
    "event": "exited",
    "code": 0,
    "signal": None,
    "limit": None,
    "usage": {"wall": 9.0, "cpu_user": 0.5, "cpu_system": 0.25, "memory_peak": 4096},
    "scratch_used": 0,
    "scratch_free": 1000,
}


class _Stage:
    """One process, started, with the agent's end of it."""

    def __init__(self, link: Link, limits: Limits | None = None) -> None:
        self.link, self.peer = link, link.peer
        self.process = Process(link.channel, limits or Limits())
        self.call = 0
        self.request: dict[str, Any] = {}

    async def start(self) -> _Stage:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.process.start, {"op": "exec", "argv": ["true"]})
            self.call, self.request = await self.peer.request()
            await self.peer.answer(self.call, {"event": "started"})
        return self

    async def end(self, **more: object) -> None:
        """Say that the command has ended, all its output before."""
        for name in ("stdout", "stderr"):
            self.peer.connection.end(self.request[name])
        await self.peer.answer(self.call, {**_EXITED, **more})


async def test_the_request_names_the_streams_and_limits(link: Link) -> None:
    stage = await _Stage(link, Limits(cpu_time=2.5)).start()
    assert stage.request["argv"] == ["true"]
    assert len({stage.request[name] for name in ("stdin", "stdout", "stderr")}) == 3
    assert (stage.request["tty"], stage.request["cpu_time"]) == (None, 2.5)


async def test_a_terminal_has_one_output_and_a_size_that_may_change(link: Link) -> None:
    process = Process(link.channel, Limits(), Terminal(24, 80))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.start, {"op": "exec"})
        call, request = await link.peer.request()
        await link.peer.answer(call, {"event": "started"})
    assert request["tty"] == {"rows": 24, "columns": 80}
    assert "stderr" not in request
    assert await process.read_stderr() == b""
    await process.resize(Terminal(1, 2))
    await process.signal("INT")
    assert (await link.peer.request())[1] == {"op": "resize", "rows": 1, "columns": 2}
    assert (await link.peer.request())[1] == {"op": "signal", "signal": "INT"}


async def test_outputs_and_the_end_are_as_the_machine_says(link: Link) -> None:
    stage = await _Stage(link).start()
    await stage.peer.say(stage.request["stdout"], b"out")
    await stage.peer.say(stage.request["stderr"], b"err")
    await stage.end(code=143, signal=15)
    assert await stage.process.read_stdout() == b"out"
    assert await stage.process.read_stderr() == b"err"
    assert await stage.process.read_stdout() == await stage.process.read_stderr() == b""
    outcome = await stage.process.wait()
    assert (outcome.code, outcome.signal, outcome.limit, outcome.reason) == (143, 15, None, "")
    # Time is measured here: the machine's clock is the machine's word.
    assert outcome.usage.wall < 9
    assert (outcome.usage.cpu_user, outcome.usage.cpu_system) == (0.5, 0.25)
    assert outcome.usage.memory_peak == 4096


@pytest.mark.parametrize("limit", ["memory", "processes", "cpu_time"])
async def test_a_limit_of_the_machine_is_named_with_its_value(link: Link, limit: str) -> None:
    stage = await _Stage(link, Limits(cpu_time=3)).start()
    await stage.end(code=137, limit=limit)
    outcome = await stage.process.wait()
    assert outcome.limit is Limit(limit)
    assert outcome.reason == describe(Limit(limit), Limits(cpu_time=3))


async def test_a_full_disk_explains_a_failure_and_nothing_else(link: Link) -> None:
    stage = await _Stage(link).start()
    await stage.end(code=1, scratch_free=0)
    assert (await stage.process.wait()).reason == "scratch disk of 512MiB is full"
    stage = await _Stage(link).start()
    await stage.end(code=0, scratch_free=0)
    assert (await stage.process.wait()).reason == ""


def test_every_limit_has_a_sentence() -> None:
    texts = {describe(limit, Limits(cpu_time=1.5)) for limit in Limit}
    assert len(texts) == len(Limit)
    assert "CPU time limit of 1.5s reached" in texts
    assert "output limit of 256MiB reached" in texts


async def test_time_ends_a_command_that_does_not(link: Link) -> None:
    stage = await _Stage(link, Limits(wall_time=0.05)).start()
    outcome = await stage.process.wait()
    assert (outcome.code, outcome.limit) == (124, Limit.WALL_TIME)
    assert outcome.reason == "time limit of 50ms reached"
    assert outcome.usage.wall >= 0.05
    # Whoever still reads its output finds the end of it.
    assert await stage.process.read_stdout() == b""
    while not isinstance(event := await stage.peer.event(), events.StreamReset):
        pass
    assert event.reason == "wall_time limit"


async def test_output_over_the_limit_is_cut_there_and_ends_the_command(link: Link) -> None:
    stage = await _Stage(link, Limits(output=10)).start()
    await stage.peer.say(stage.request["stderr"], b"123456")
    assert await stage.process.read_stderr() == b"123456"
    await stage.peer.say(stage.request["stdout"], b"abcdef")
    assert await stage.process.read_stdout() == b"abcd"
    assert await stage.process.read_stdout() == b""
    outcome = await stage.process.wait()
    assert (outcome.code, outcome.limit) == (137, Limit.OUTPUT)


async def test_output_of_just_the_limit_is_fine(link: Link) -> None:
    stage = await _Stage(link, Limits(output=6)).start()
    await stage.peer.say(stage.request["stdout"], b"abcdef")
    await stage.end()
    assert await stage.process.read_stdout() == b"abcdef"
    assert await stage.process.read_stdout() == b""
    assert (await stage.process.wait()).limit is None


async def test_the_first_limit_counts(link: Link) -> None:
    stage = await _Stage(link).start()
    stage.process.stop(Limit.OUTPUT)
    stage.process.stop(Limit.WALL_TIME)
    stage.process.stop(None)
    assert (await stage.process.wait()).limit is Limit.OUTPUT


_LIES: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda _: {},
    lambda _: {"event": ["exited"]},
    lambda _: {"event": "started"},
    lambda said: {**said, "code": -1},
    lambda said: {**said, "code": 256},
    lambda said: {**said, "code": True},
    lambda said: {**said, "code": "0"},
    lambda said: {**said, "code": None},
    lambda said: {**said, "signal": 65},
    lambda said: {**said, "signal": "15"},
    lambda said: {**said, "limit": "patience"},
    lambda said: {**said, "limit": {}},
    lambda said: {**said, "usage": None},
    lambda said: {**said, "usage": []},
    lambda said: {**said, "usage": {}},
    lambda said: {**said, "usage": {**said["usage"], "memory_peak": -1}},
    lambda said: {**said, "usage": {**said["usage"], "cpu_user": 1e300}},
    lambda said: {**said, "usage": {**said["usage"], "cpu_system": "\x1b[2J"}},
    lambda said: {key: value for key, value in said.items() if key != "code"},
    lambda said: {key: value for key, value in {**said, "code": 1}.items() if "scratch" not in key},
]


@pytest.mark.parametrize("lie", _LIES)
async def test_a_report_that_cannot_be_breaks_the_protocol(
    link: Link, lie: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    stage = await _Stage(link).start()
    for name in ("stdout", "stderr"):
        stage.peer.connection.end(stage.request[name])
    await stage.peer.answer(stage.call, lie(_EXITED))
    with pytest.raises(MachineError, match="the machine broke the protocol: ") as error:
        await stage.process.wait()
    assert str(error.value).isprintable()


async def test_an_end_before_the_output_is_not_believed(link: Link) -> None:
    """Else whoever reads the output would wait for ever."""
    stage = await _Stage(link).start()
    stage.peer.connection.end(stage.request["stdout"])
    await stage.peer.answer(stage.call, _EXITED)
    with pytest.raises(MachineError, match="a command ended before its output"):
        await stage.process.wait()


async def test_a_start_that_is_refused_is_an_error(link: Link) -> None:
    process = Process(link.channel, Limits())
    async with anyio.create_task_group() as tasks:

        async def refuse() -> None:
            call, _ = await link.peer.request()
            await link.peer.answer(call, {"event": "failed", "kind": "system", "message": "no"})

        tasks.start_soon(refuse)
        with pytest.raises(RequestError, match="refused: no"):
            await process.start({"op": "exec"})
    process.stop(None)


async def test_another_answer_than_started_breaks_the_protocol(link: Link) -> None:
    process = Process(link.channel, Limits())
    async with anyio.create_task_group() as tasks:

        async def lie() -> None:
            call, _ = await link.peer.request()
            await link.peer.answer(call, _EXITED)

        tasks.start_soon(lie)
        with pytest.raises(MachineError, match="no 'started'"):
            await process.start({"op": "exec"})


async def test_a_machine_that_ends_is_not_taken_for_a_limit(link: Link) -> None:
    stage = await _Stage(link).start()
    stage.peer.socket.close()
    with pytest.raises(MachineError, match="the machine has ended"):
        await stage.process.wait()
    with pytest.raises(MachineError, match="the machine has ended"):
        await stage.process.read_stdout()


async def test_a_process_stopped_leaves_no_stream(link: Link) -> None:
    stage = await _Stage(link).start()
    stage.process.stop(None)
    assert link.channel._streams == {}


@pytest.mark.parametrize("free", [0, 1, 2, 3])
async def test_a_process_too_many_takes_none_of_the_streams_left(link: Link, free: int) -> None:
    held = [link.channel.open(b"data") for _ in range(MAX_STREAMS - free)]
    with pytest.raises(MachineError, match="too many requests at once"):
        Process(link.channel, Limits())
    assert len(link.channel._streams) == len(held)
