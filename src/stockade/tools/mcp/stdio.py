"""MCP over standard streams: a message a line, each bounded (transport ``stdio``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from stockade.tools.mcp.lines import Lines, LineTooLongError
from stockade.tools.mcp.server import MAX_MESSAGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mcp.server.lowlevel import Server


async def serve_stdio(
    server: Server[Any],
    chunks: AsyncIterator[bytes],
    give: Callable[[bytes], Awaitable[None]],
) -> None:
    """Serve one client until its input ends, or nobody takes what is given any more.

    A message that is too long is answered with an error and ends the connection, as what follows
    cannot be trusted to begin one.
    """
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        lines = Lines(MAX_MESSAGE)
        async with to_server:
            try:
                async for chunk in chunks:
                    for line in lines.feed(chunk):
                        if message := _parse(line):
                            await to_server.send(SessionMessage(message))
                        else:
                            await outgoing.send(_error(types.PARSE_ERROR, "not JSON-RPC"))
            except LineTooLongError as error:
                await outgoing.send(_error(types.INVALID_REQUEST, str(error)))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # the server has ended

    async def write() -> None:
        try:
            async for message in from_server:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                await give(text.encode() + b"\n")
        except BrokenPipeError:
            tasks.cancel_scope.cancel()  # the client has gone

    with incoming, from_server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            tasks.start_soon(read)
            await server.run(incoming, outgoing, server.create_initialization_options())
            tasks.cancel_scope.cancel()


def _parse(line: bytes) -> types.JSONRPCMessage | None:
    try:
        return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except (ValidationError, ValueError):
        return None


def _error(code: int, message: str) -> SessionMessage:
    error = types.ErrorData(code=code, message=message)
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=None, error=error))
