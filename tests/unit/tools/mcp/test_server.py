"""The server, asked by the SDK's own client in both revisions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from stockade.model.errors import MachineError
from stockade.tools.base import Description, Progress, Result
from stockade.tools.mcp import server as module
from stockade.tools.mcp.server import build_server

pytestmark = pytest.mark.anyio

_OBJECT = {"type": "object"}


class _Tools:
    """Tools that do what their names say."""

    def __init__(self) -> None:
        self.running = self.most = self.ended = 0
        self.go_on = anyio.Event()

    async def descriptions(self) -> list[Description]:
        return [
            Description("data", "Data", "Gives data.", _OBJECT, _OBJECT, {"readOnlyHint": True}),
            Description("wait", "Wait", "Waits.", _OBJECT),
        ]

    async def call(
        self, name: str, arguments: Mapping[str, Any], progress: Progress | None = None
    ) -> Result:
        match name:
            case "data":
                return Result("1", {"one": 1})
            case "fail":
                return Result("it did not work", failed=True)
            case "machine":
                raise MachineError("the machine is gone\x1b", hint="Start another.")
            case "crash":
                raise RuntimeError("secret")
            case "progress":
                assert progress
                await progress(0.5, "half\x1b")
                await progress(1, "done")
                return Result("")
            case "wait":
                return await self._wait()
        raise KeyError(name)

    async def _wait(self) -> Result:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go_on.wait()
        finally:
            self.running -= 1
            self.ended += 1
        return Result("waited")


@asynccontextmanager
async def _client(
    tools: _Tools, mode: str = "2026-07-28", notices: list[str] | None = None
) -> AsyncIterator[Client]:
    notice = (notices if notices is not None else []).append
    server = build_server(tools, version="9", notice=notice)
    async with Client(server, mode=mode) as client:
        yield client


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_both_revisions_list_and_call(mode: str, version: str) -> None:
    async with _client(_Tools(), mode) as client:
        assert client.session.protocol_version == version
        assert client.session.server_capabilities
        data, wait = (await client.list_tools()).tools
        assert (data.name, data.title, data.description) == ("data", "Data", "Gives data.")
        assert data.output_schema == _OBJECT
        assert data.annotations
        assert data.annotations.read_only_hint is True
        assert wait.output_schema is None
        result = await client.call_tool("data", {})
        assert result.structured_content == {"one": 1}
        assert not result.is_error


async def test_a_tool_that_is_not_granted_is_unknown() -> None:
    async with _client(_Tools()) as client:
        with pytest.raises(MCPError, match=r"^unknown tool: x�$") as caught:
            await client.call_tool("x\x1b", {})
        assert caught.value.code == -32602


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("fail", "it did not work"),
        ("machine", "the machine is gone�. Start another."),
        ("crash", "the call failed inside Stockade; what was asked for was not done"),
    ],
)
async def test_failures_are_results_that_say_why(tool: str, text: str) -> None:
    notices: list[str] = []
    async with _client(_Tools(), notices=notices) as client:
        result = await client.call_tool(tool, {})
    assert result.is_error
    assert [block.text for block in result.content] == [text]  # type: ignore[union-attr]
    assert not any("secret" in notice for notice in notices)


async def test_progress_reaches_who_asked_for_it() -> None:
    seen: list[tuple[float, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, message))

    async with _client(_Tools(), "legacy") as client:
        await client.call_tool("progress", {}, progress_callback=progress)
    assert seen == [(0.5, "half�"), (1, "done")]


async def test_a_call_that_is_cancelled_ends() -> None:
    tools = _Tools()
    async with _client(tools, "legacy") as client:
        with anyio.move_on_after(0.2):
            await client.call_tool("wait", {})
        with anyio.fail_after(10):
            while not tools.ended:
                await anyio.lowlevel.checkpoint()


async def test_calls_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", 2)
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    tools = _Tools()
    refused = 0

    async def call(client: Client) -> None:
        nonlocal refused
        try:
            await client.call_tool("wait", {})
        except MCPError:
            refused += 1

    async with _client(tools) as client, anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(call, client)
        with anyio.fail_after(10):
            while refused < 3:
                await anyio.lowlevel.checkpoint()
        tools.go_on.set()
    assert (tools.most, tools.ended, refused) == (2, 5, 3)


async def test_arguments_are_bounded() -> None:
    async with _client(_Tools()) as client:
        with pytest.raises(MCPError, match="larger than 1MiB"):
            await client.call_tool("data", {"x": "x" * (1 << 20)})
