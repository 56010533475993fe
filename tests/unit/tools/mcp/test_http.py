"""MCP over HTTP: who is let in, and what is bounded."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tests.unit.tools.mcp.test_server import _Tools

from stockade.model.errors import StockadeError, UsageError
from stockade.tools.mcp.http import listen, make_app, serve_http, url_of
from stockade.tools.mcp.server import build_server

pytestmark = pytest.mark.anyio

_TOKEN = "t" * 40
_AUTH = {"Authorization": f"Bearer {_TOKEN}"}
_JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
_LIST = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})


@asynccontextmanager
async def _served() -> AsyncIterator[str]:
    listening = listen("127.0.0.1:0")
    app = make_app(build_server(_Tools(), version="9"), listening, _TOKEN)
    url = url_of(listening)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_http, app, listening)
        yield url
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_a_client_with_the_token_is_served(mode: str, version: str) -> None:
    async with _served() as url, httpx2.AsyncClient(headers=_AUTH) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode) as client:
            assert client.session.protocol_version == version
            assert (await client.call_tool("data", {})).structured_content == {"one": 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": _TOKEN}, 401),
        ({"Authorization": f"bearer {_TOKEN}"}, 401),
        ({"Authorization": "Bearer \xff"}, 401),
        ({**_AUTH, "Origin": "http://evil.example"}, 403),
        ({**_AUTH, "Origin": "null"}, 403),
        ({**_AUTH, "Host": "evil.example"}, 421),
        ({**_AUTH, "Host": "127.0.0.1.evil.example:80"}, 421),
        ({**_AUTH, "Host": "127.0.0.1"}, 421),
    ],
)
async def test_others_are_not(headers: dict[str, str], status: int) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in {**_JSON, **headers}.items()]
    async with _served() as url, httpx2.AsyncClient() as http:
        for method in ("POST", "GET", "DELETE"):
            answer = await http.request(method, url, content=_LIST, headers=raw)
            assert answer.status_code == status, answer.text
            assert _TOKEN not in answer.text
            if status == 401:
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="stockade"'


async def test_white_space_around_the_value_of_a_header_is_no_part_of_it() -> None:
    async with _served() as url:
        host, _, port = url.removeprefix("http://").removesuffix("/mcp").rpartition(":")
        ask = (
            f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: \t Bearer {_TOKEN} \t\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in _JSON.items())
            + f"Content-Length: {len(_LIST)}\r\nConnection: close\r\n\r\n{_LIST}"
        )
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(ask.encode())
            status = (await stream.receive()).split()[1]
        # Without a session it is no good request; but whoever sent it was let in.
        assert status == b"400"


async def test_every_path_asks_for_the_token() -> None:
    async with _served() as url, httpx2.AsyncClient() as http:
        assert (await http.get(url.removesuffix("/mcp") + "/anything")).status_code == 401


async def test_a_body_beyond_the_bound_is_refused() -> None:
    async with _served() as url, httpx2.AsyncClient() as http:
        body = b"x" * (4 * 1024 * 1024 + 1)
        answer = await http.post(url, content=body, headers={**_JSON, **_AUTH})
        assert answer.status_code == 413


@pytest.mark.parametrize(
    "address", ["0.0.0.0:0", "8.8.8.8:80", "[::]:0", "example.com:80", "127.0.0.1", "127.0.0.1:x",
                "127.0.0.1:70000", ":80", "localhost.evil.example:80"]
)  # fmt: skip
def test_nothing_but_loopback_is_served(address: str) -> None:
    with pytest.raises(UsageError):
        listen(address)


def test_localhost_is_loopback_and_a_port_in_use_is_told() -> None:
    with listen("localhost:0") as taken:
        assert taken.getsockname()[0] == "127.0.0.1"
        with pytest.raises(StockadeError, match="cannot listen on 127"):
            listen(f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.skipif(not socket.has_ipv6, reason="this host has no IPv6")
def test_an_address_of_ipv6_is_written_as_urls_have_it() -> None:
    try:
        listening = listen("[::1]:0")
    except StockadeError:
        pytest.skip("this host has no ::1")
    with listening:
        assert url_of(listening).startswith("http://[::1]:")
