"""The streams of a program in the machine as an MCP transport, for the SDK's client.

What the program writes is hostile. Here it is cut into lines of bounded length, and only answers
and progress go on to the client: what the program asks for is refused on the spot, one question at
a time, so that asking much holds up nobody but itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from stockade.model.errors import StockadeError
from stockade.tools.mcp.lines import Lines, LineTooLongError
from stockade.tools.mcp.text import printable

if TYPE_CHECKING:
    from stockade.tools.base import Process

MAX_LINE: Final = 1024 * 1024
"""Bytes of one message; JSON takes up to some thirty times as much once it is read."""
_MAX_GARBAGE: Final = 100
_TAIL: Final = 4096


class Pipe:
    """One program's streams. ``run`` must run as long as they are used, and ends with them."""

    def __init__(self, program: Process) -> None:
        self._program = program
        self._to_client, self.incoming = anyio.create_memory_object_stream[
            SessionMessage | Exception
        ](0)
        self.outgoing, self._from_client = anyio.create_memory_object_stream[SessionMessage](0)
        self._sending = anyio.Lock()
        self._garbage = 0
        self._tail = bytearray()
        self.cause = ""
        self.tools_changed = False

    @property
    def last_words(self) -> str:
        """The last line that the program wrote to its standard error, safe to print."""
        lines = self._tail.decode(errors="replace").strip().splitlines()
        return printable(lines[-1], 200) if lines else ""

    async def run(self) -> None:
        """Carry messages both ways until the program writes no more or breaks the protocol."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            tasks.start_soon(self._listen)
            try:
                await self._read()
            except LineTooLongError:
                self._end(f"answered with more than {MAX_LINE // 1024}KiB in one message")
            except OSError:
                self._end("reads no more of what it is sent")
            except StockadeError as error:
                self._end(f"cannot be reached: {error}")
            finally:
                # The client learns of the end before anything else of this can be waited for.
                self._to_client.close()
                tasks.cancel_scope.cancel()

    def close(self) -> None:
        """Close what the client uses too."""
        for stream in (self._to_client, self.incoming, self.outgoing, self._from_client):
            stream.close()

    async def _read(self) -> None:
        lines = Lines(MAX_LINE)
        while chunk := await self._program.read_stdout():
            for line in lines.feed(chunk):
                if not await self._take(line):
                    return
        self._end("ended")

    def _end(self, cause: str) -> None:
        """Stop the program; the first cause is the one to tell."""
        self.cause = self.cause or cause
        self._program.stop(None)

    async def _take(self, line: bytes) -> bool:
        """Pass one message on, or answer it; False when there were too many that are none."""
        try:
            message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
        except (ValidationError, ValueError):
            # Many print a greeting where only messages belong.
            self._garbage += 1
            if self._garbage > _MAX_GARBAGE:
                self._end("writes what is not MCP")
            return self._garbage <= _MAX_GARBAGE
        if isinstance(message, types.JSONRPCRequest):
            await self._answer(message)
        elif isinstance(message, types.JSONRPCNotification):
            self.tools_changed |= message.method == "notifications/tools/list_changed"
            if message.method == "notifications/progress":
                await self._to_client.send(SessionMessage(message))
        else:
            await self._to_client.send(SessionMessage(message))
        return True

    async def _answer(self, request: types.JSONRPCRequest) -> None:
        answer: types.JSONRPCMessage
        if request.method == "ping":
            answer = types.JSONRPCResponse(jsonrpc="2.0", id=request.id, result={})
        else:
            # Sampling, elicitation, roots: whoever runs the agent has not offered them.
            refusal = types.ErrorData(code=types.METHOD_NOT_FOUND, message="not offered")
            answer = types.JSONRPCError(jsonrpc="2.0", id=request.id, error=refusal)
        await self._send(answer)

    async def _write(self) -> None:
        try:
            async for message in self._from_client:
                await self._send(message.message)
        except (OSError, StockadeError):
            self._end("reads no more of what it is sent")

    async def _send(self, message: types.JSONRPCMessage) -> None:
        text = message.model_dump_json(by_alias=True, exclude_unset=True)
        async with self._sending:
            await self._program.stdin.send(text.encode() + b"\n")

    async def _listen(self) -> None:
        with suppress(OSError, StockadeError):
            while chunk := await self._program.read_stderr():
                self._tail += chunk
                del self._tail[:-_TAIL]
