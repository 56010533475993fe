"""The relay, run as machines run it, before a real server of the SDK's own making."""

from __future__ import annotations

import anyio
import pytest
from mcp.server.lowlevel import Server
from tests.unit.tools.mcp.conftest import LocalMachine
from tests.unit.tools.mcp.test_server import _Tools

from stockade.model.tools import ToolGrant, ToolServer
from stockade.tools.mcp.http import listen, serve_http, url_of
from stockade.tools.mcp.server import build_server
from stockade.tools.mcp.upstream import Upstream, UpstreamError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("json_response", [True, False])
async def test_a_server_by_url_is_spoken_to(machine: LocalMachine, json_response: bool) -> None:
    served: Server[object] = build_server(_Tools(), version="9")
    listening = listen("127.0.0.1:0")
    app = served.streamable_http_app(json_response=json_response)
    server = ToolServer(url=url_of(listening), tools={"data": ToolGrant()})
    upstream = Upstream("h", server, machine, notice=lambda _: None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_http, app, listening)
        assert set(await upstream.offered(tasks)) == {"data", "wait"}
        answer = await upstream.call(tasks, "data", {}, patience=30)
        assert answer.structured_content == {"one": 1}
        with pytest.raises(UpstreamError, match="refused: unknown tool: other"):
            await upstream.call(tasks, "other", {}, patience=30)
        tasks.cancel_scope.cancel()


async def test_a_server_that_is_not_there_is_told(machine: LocalMachine) -> None:
    with listen("127.0.0.1:0") as listening:
        url = url_of(listening)
    server = ToolServer(url=url, tools={"data": ToolGrant()})
    upstream = Upstream("h", server, machine, notice=lambda _: None)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(UpstreamError, match=f"cannot reach {url}: .*refused"):
            await upstream.offered(tasks)
        tasks.cancel_scope.cancel()
