"""A program's streams as a transport: bounded lines, and nothing but answers goes on."""

from __future__ import annotations

import sys

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage
from tests.unit.tools.mcp.conftest import LocalMachine

from stockade.tools.mcp import pipe as module
from stockade.tools.mcp.pipe import Pipe

pytestmark = pytest.mark.anyio

_ANSWER = '{"jsonrpc": "2.0", "id": 1, "result": {}}'


async def _run(machine: LocalMachine, program: str) -> tuple[Pipe, list[object]]:
    """Give what a program makes the client see, until the program's end."""
    process = await machine.start([sys.executable, "-uc", program])
    pipe = Pipe(process)
    seen: list[object] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipe.run)
        async for item in pipe.incoming:
            assert isinstance(item, SessionMessage)
            seen.append(item.message)
    pipe.close()
    return pipe, seen


async def test_answers_and_progress_go_on_and_nothing_else(machine: LocalMachine) -> None:
    progress = '{"jsonrpc": "2.0", "method": "notifications/progress", "params": {"a": 1}}'
    other = '{"jsonrpc": "2.0", "method": "notifications/message"}'
    lines = ["Hello!", other, progress, "[]", "", _ANSWER]
    pipe, seen = await _run(machine, f"print({chr(10).join(lines)!r})")
    kinds: list[type] = [types.JSONRPCNotification, types.JSONRPCResponse]
    assert [type(message) for message in seen] == kinds
    assert pipe.cause == "ended"


async def test_what_a_server_asks_for_is_refused_but_a_ping(machine: LocalMachine) -> None:
    program = """
import sys
for method in "sampling/createMessage", "elicitation/create", "roots/list", "ping":
    print('{"jsonrpc": "2.0", "id": "q", "method": "%s"}' % method)
    print(sys.stdin.readline().strip(), file=sys.stderr)
"""
    process = await machine.start([sys.executable, "-uc", program])
    pipe = Pipe(process)
    said = []
    read = process.read_stderr

    async def keep() -> bytes:
        chunk = await read()
        said.append(chunk)
        return chunk

    process.read_stderr = keep  # type: ignore[method-assign]
    await pipe.run()
    pipe.close()
    refusal = b'{"jsonrpc":"2.0","id":"q","error":{"code":-32601,"message":"not offered"}}\n'
    assert b"".join(said) == refusal * 3 + b'{"jsonrpc":"2.0","id":"q","result":{}}\n'


async def test_a_line_beyond_the_bound_ends_the_program(
    machine: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 100 * 1024)
    pipe, seen = await _run(machine, "while True: print('x' * 65536, end='')")
    assert (seen, pipe.cause) == ([], "answered with more than 100KiB in one message")
    await machine.started[0].process.wait()


async def test_garbage_without_end_ends_the_program(machine: LocalMachine) -> None:
    pipe, seen = await _run(machine, "while True: print('{}')")
    assert (seen, pipe.cause) == ([], "writes what is not MCP")


async def test_json_as_deep_as_it_gets_is_garbage(machine: LocalMachine) -> None:
    deep = "'[' * 100_000"
    _, seen = await _run(machine, f"print({deep}); print('{_ANSWER}')")
    assert len(seen) == 1


async def test_its_last_words_are_printable(machine: LocalMachine) -> None:
    program = "import sys; print('x' * 9999 + '\\nlast\\x1b[2J', file=sys.stderr)"
    process = await machine.start([sys.executable, "-c", program])
    pipe = Pipe(process)
    while not pipe.last_words:
        await pipe._listen()
    assert pipe.last_words == "last�[2J"
    pipe.close()
