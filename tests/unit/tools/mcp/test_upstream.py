"""A third party's server: started, called, lost and started again."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import TaskGroup
from tests.unit.tools.mcp.conftest import LocalMachine, hostile_server

from stockade.model.tools import ToolGrant, ToolServer
from stockade.tools.mcp import upstream as module
from stockade.tools.mcp.definitions import Definition, DefinitionError
from stockade.tools.mcp.upstream import MAX_PAUSE, Upstream, UpstreamError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tasks(anyio_backend: str) -> AsyncIterator[TaskGroup]:
    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _upstream(
    machine: LocalMachine, notices: list[str] | None = None, *, env: dict[str, str] | None = None
) -> tuple[Upstream, _Clock]:
    clock = _Clock()
    notice = (notices if notices is not None else []).append
    return Upstream("h", hostile_server("add", env=env), machine, notice=notice, clock=clock), clock


async def test_it_tells_its_tools_and_answers(machine: LocalMachine, tasks: TaskGroup) -> None:
    upstream, _ = _upstream(machine, env={"BEHAVIOUR": "greeting"})
    offered = await upstream.offered(tasks)
    assert isinstance(offered["add"], Definition)
    assert isinstance(offered["\x1b[31mred"], DefinitionError)
    answer = await upstream.call(tasks, "add", {"a": 1, "b": 2}, patience=30)
    assert answer.structured_content == {"sum": 3}
    assert len(machine.started) == 1


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ("huge", "answered with more than 1024KiB in one message before it had answered"),
        ("leave", "ended before it had answered"),
        ("refuse", "refused: no�[2J"),
        ("lie", "answered what is not a result of a tool"),
    ],
)
async def test_each_way_to_fail_is_told_and_the_next_call_works(
    machine: LocalMachine, tasks: TaskGroup, tool: str, why: str
) -> None:
    upstream, _ = _upstream(machine)
    with pytest.raises(UpstreamError, match=f"^{why.replace('[', chr(92) + '[')}"):
        await upstream.call(tasks, tool, {}, patience=30)
    answer = await upstream.call(tasks, "add", {"a": 1, "b": 2}, patience=30)
    assert answer.structured_content == {"sum": 3}


async def test_silence_is_bounded_and_ends_a_server_that_nobody_else_waits_for(
    machine: LocalMachine, tasks: TaskGroup
) -> None:
    upstream, _ = _upstream(machine)
    with pytest.raises(UpstreamError, match=r"did not answer within 0\.2 s"):
        await upstream.call(tasks, "silent", {}, patience=0.2)
    await machine.started[0].process.wait()
    await upstream.call(tasks, "add", {"a": 1, "b": 2}, patience=30)


async def test_a_server_that_keeps_failing_is_left_alone_for_longer_each_time(
    machine: LocalMachine, tasks: TaskGroup
) -> None:
    notices: list[str] = []
    upstream, clock = _upstream(machine, notices)
    pauses = []
    for _ in range(9):
        with pytest.raises(UpstreamError, match="ended before"):
            await upstream.call(tasks, "leave", {}, patience=30)
        await anyio.wait_all_tasks_blocked()
        pauses.append(upstream._not_before - clock.now)
        if pauses[-1]:
            with pytest.raises(UpstreamError, match=r"has failed \d times; it is tried again in"):
                await upstream.call(tasks, "add", {"a": 1, "b": 2}, patience=30)
        clock.now = upstream._not_before
    assert pauses == [0, 1, 2, 4, 8, 16, 32, MAX_PAUSE, MAX_PAUSE]
    assert notices[0] == "MCP server h ended: I leave�[2J"
    await upstream.call(tasks, "add", {"a": 1, "b": 2}, patience=30)
    with pytest.raises(UpstreamError, match="ended before"):
        await upstream.call(tasks, "leave", {}, patience=30)
    await upstream.call(tasks, "add", {"a": 1, "b": 2}, patience=30)


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"BEHAVIOUR": "exit"}, r"ended while starting \(cannot start\)"),
        ({"BEHAVIOUR": "garbage"}, "writes what is not MCP while starting"),
    ],
)
async def test_a_server_that_does_not_start_says_why(
    machine: LocalMachine, tasks: TaskGroup, env: dict[str, str], why: str
) -> None:
    upstream, _ = _upstream(machine, env=env)
    with pytest.raises(UpstreamError, match=why):
        await upstream.offered(tasks)


async def test_a_tool_that_is_listed_twice_is_one_too_many(
    machine: LocalMachine, tasks: TaskGroup
) -> None:
    upstream, _ = _upstream(machine, env={"BEHAVIOUR": "twice"})
    with pytest.raises(UpstreamError, match="lists a tool twice"):
        await upstream.offered(tasks)


async def test_a_server_that_never_starts_is_given_up(
    machine: LocalMachine, tasks: TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START", 0.1)
    server = ToolServer(command=("sleep", "1000"), tools={"a": ToolGrant()})
    upstream = Upstream("h", server, machine, notice=lambda _: None)
    with pytest.raises(UpstreamError, match=r"did not start within 0\.1 s"):
        await upstream.offered(tasks)
    await machine.started[0].process.wait()


async def test_news_of_other_tools_are_looked_at(machine: LocalMachine, tasks: TaskGroup) -> None:
    upstream, _ = _upstream(machine)
    before = (await upstream.offered(tasks))["add"]
    await upstream.call(tasks, "change", {}, patience=30)
    now = (await upstream.offered(tasks))["add"]
    assert isinstance(now, Definition)
    assert isinstance(before, Definition)
    assert now.changed_parts(before) == ["description"]


async def test_progress_is_passed_on(machine: LocalMachine, tasks: TaskGroup) -> None:
    upstream, _ = _upstream(machine)
    seen: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    await upstream.call(tasks, "flood", {}, patience=60, progress=progress)
    assert seen


async def test_a_modern_server_needs_no_handshake(machine: LocalMachine, tasks: TaskGroup) -> None:
    program = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "server/discover":
        reply["result"] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                           "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
    elif message["method"] == "tools/list":
        reply["result"] = {"tools": [{"name": "a", "inputSchema": {"type": "object"}}],
                           "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
    else:
        reply["error"] = {"code": -32601, "message": "no handshake here"}
    print(json.dumps(reply), flush=True)
"""
    server = ToolServer(command=(sys.executable, "-c", program), tools={"a": ToolGrant()})
    upstream = Upstream("h", server, machine, notice=lambda _: None)
    assert set(await upstream.offered(tasks)) == {"a"}
