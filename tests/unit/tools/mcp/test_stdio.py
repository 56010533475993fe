"""MCP over streams, byte by byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.tools.mcp.test_server import _Tools

from stockade.tools.mcp import stdio as module
from stockade.tools.mcp.server import build_server
from stockade.tools.mcp.stdio import serve_stdio

pytestmark = pytest.mark.anyio

_INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}


async def _serve(*chunks: bytes, closed: bool = False) -> list[dict[str, Any]]:
    given = bytearray()

    async def read() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def give(chunk: bytes) -> None:
        if closed:
            raise BrokenPipeError
        given.extend(chunk)

    await serve_stdio(build_server(_Tools(), version="9"), read(), give)
    return [json.loads(line) for line in given.splitlines()]


async def test_messages_are_lines_however_they_come() -> None:
    line = json.dumps(_INITIALIZE).encode() + b"\n"
    (answer,) = await _serve(line[:10], line[10:])
    assert answer["result"]["serverInfo"]["name"] == "stockade"


async def test_what_is_no_message_is_answered_and_serving_goes_on() -> None:
    line = json.dumps(_INITIALIZE).encode() + b"\n"
    garbage, answer = await _serve(b"\xff{]\n", line)
    assert garbage["error"]["code"] == -32700
    assert answer["id"] == 1


async def test_a_message_too_long_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGE", 100)
    (answer,) = await _serve(b"x" * 101, json.dumps(_INITIALIZE).encode() + b"\n")
    assert answer["error"]["message"] == "a line of more than 100 bytes"


async def test_it_ends_when_nobody_takes_the_answers() -> None:
    assert await _serve(json.dumps(_INITIALIZE).encode() + b"\n", closed=True) == []
