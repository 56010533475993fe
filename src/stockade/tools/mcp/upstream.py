"""One third party's MCP server, run inside the wall: started when needed, and again if it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from stockade.model.errors import StockadeError
from stockade.tools.mcp.definitions import Definition, DefinitionError
from stockade.tools.mcp.pipe import Pipe
from stockade.tools.mcp.relay import relay_command
from stockade.tools.mcp.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from anyio.abc import TaskGroup, TaskStatus
    from mcp.shared.dispatcher import ProgressFnT

    from stockade.model.tools import ToolServer
    from stockade.tools.base import Machine

START: Final = 90.0
"""Seconds that a server has to start and to tell its tools."""
PATIENCE: Final = 60.0
"""Seconds that a call may take, unless the profile says otherwise."""
MAX_TOOLS: Final = 256
MAX_PAUSE: Final = 60.0
"""Seconds, at most, that a server which keeps failing is left alone."""
_PAGES: Final = 16

_ANSWER: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)


class UpstreamError(Exception):
    """The server could not do what was asked; the message is one line without its name."""


@dataclass
class _Live:
    """A server that runs: ``offered`` are its tools, or for each unfit one, why."""

    session: ClientSession
    pipe: Pipe
    over: anyio.Event
    granted: Collection[str]
    offered: dict[str, Definition | DefinitionError] = field(default_factory=dict)
    calls: int = 0


class Upstream:
    """A server by the name ``name``; ``notice`` is told what a person should know of it."""

    def __init__(
        self,
        name: str,
        server: ToolServer,
        machine: Machine,
        *,
        notice: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self._server = name, server
        self._machine, self._notice, self._clock = machine, notice, clock
        self._live: _Live | None = None
        self._connecting = anyio.Lock()
        self._failures = 0
        self._not_before = 0.0

    async def offered(self, tasks: TaskGroup) -> Mapping[str, Definition | DefinitionError]:
        """The server's tools as it tells them now; started in ``tasks`` unless it runs."""
        live = await self._connect(tasks)
        return live.offered

    async def call(
        self,
        tasks: TaskGroup,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        patience: float,
        progress: ProgressFnT | None = None,
    ) -> types.CallToolResult:
        """Call a tool; ``UpstreamError`` when no answer comes in ``patience`` seconds, or none."""
        live = await self._connect(tasks)
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        )
        live.calls += 1
        try:
            with anyio.fail_after(patience):
                answer = await live.session.send_request(
                    request, _ANSWER, progress_callback=progress
                )
        except TimeoutError:
            if live.calls == 1:
                live.over.set()  # it may never answer again, and nobody else waits for it
            raise UpstreamError(f"did not answer within {patience:g} s") from None
        except (MCPError, ValidationError) as error:
            raise UpstreamError(await self._why(live, error)) from None
        finally:
            live.calls -= 1
        self._failures = 0
        if isinstance(answer, types.InputRequiredResult):
            raise UpstreamError("asks for more than the call's arguments, which is not offered")
        return answer

    async def _connect(self, tasks: TaskGroup) -> _Live:
        async with self._connecting:
            if self._live is None or self._live.over.is_set():
                if (pause := self._not_before - self._clock()) > 0:
                    raise UpstreamError(
                        f"has failed {self._failures} times; it is tried again in {pause:.0f} s"
                    )
                self._live = await tasks.start(self._serve)
            elif self._live.pipe.tools_changed:
                await _list_again(self._live)
            assert self._live is not None  # noqa: S101 - for the type checker
            return self._live

    async def _serve(self, *, task_status: TaskStatus[_Live]) -> None:
        """Run the server until it ends; what fails before it is ready is raised to who waits."""
        ready = False
        pipe: Pipe | None = None
        argv = self._server.command or relay_command(self._server.url or "")
        try:
            program = await self._machine.start(argv, env=self._server.env)
            pipe = Pipe(program)
            over = anyio.Event()
            try:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(_carry, pipe, over)
                    async with ClientSession(
                        pipe.incoming,
                        pipe.outgoing,
                        client_info=types.Implementation(name="stockade", version="1"),
                    ) as session:
                        live = _Live(session, pipe, over, self._server.tools.keys())
                        with anyio.fail_after(START):
                            await _greet(session)
                            live.offered = await _list(live)
                        ready = True
                        task_status.started(live)
                        await over.wait()
                    inner.cancel_scope.cancel()
            finally:
                program.stop(None)
                pipe.close()
        except Exception as error:  # noqa: BLE001 - a stranger's fault must not end the session
            self._failed()
            if not ready:
                raise UpstreamError(_told(error, pipe)) from None
        else:
            self._failed()
        if pipe is not None:
            words = f": {pipe.last_words}" if pipe.last_words else ""
            self._notice(f"MCP server {self.name} {pipe.cause or 'was ended'}{words}")

    async def _why(self, live: _Live, error: Exception) -> str:
        if isinstance(error, ValidationError):
            return "answered what is not a result of a tool"
        assert isinstance(error, MCPError)  # noqa: S101 - for the type checker
        if error.code == types.CONNECTION_CLOSED and live.pipe.cause:
            await live.over.wait()
            return f"{live.pipe.cause} before it had answered"
        return f"refused: {printable(error.message)}"

    def _failed(self) -> None:
        """Note an end; only the first is followed by a new start without a pause."""
        self._failures += 1
        pause = 0.0 if self._failures == 1 else min(2.0 ** (self._failures - 2), MAX_PAUSE)
        self._not_before = self._clock() + pause


async def _carry(pipe: Pipe, over: anyio.Event) -> None:
    try:
        await pipe.run()
    finally:
        over.set()


async def _greet(session: ClientSession) -> None:
    """Agree on a revision: with a handshake, or without where the server knows none."""
    try:
        await session.initialize()
    except MCPError as error:
        if error.code == types.CONNECTION_CLOSED:
            raise
        await session.discover()


async def _list(live: _Live) -> dict[str, Definition | DefinitionError]:
    found: dict[str, Definition | DefinitionError] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        # The session's own list_tools would compile the schemas to check results itself.
        page = await live.session.send_request(
            types.ListToolsRequest(params=types.PaginatedRequestParams(cursor=cursor)),
            types.ListToolsResult,
        )
        for tool in page.tools:
            if tool.name in found:
                raise UpstreamError("lists a tool twice")
            if tool.name not in live.granted:
                found[tool.name] = DefinitionError("it is not granted")  # and not worth the work
                continue
            try:
                found[tool.name] = Definition.read(
                    tool.model_dump(by_alias=True, mode="json", exclude_none=True)
                )
            except DefinitionError as error:
                found[tool.name] = error
        cursor = page.next_cursor
        if len(found) > MAX_TOOLS:
            raise UpstreamError(f"has more than {MAX_TOOLS} tools")
        if cursor is None:
            return found
    raise UpstreamError(f"lists its tools on more than {_PAGES} pages")


async def _list_again(live: _Live) -> None:
    live.pipe.tools_changed = False
    try:
        with anyio.fail_after(START):
            live.offered = await _list(live)
    except Exception as error:  # noqa: BLE001 - as when it is started
        live.over.set()
        raise UpstreamError(_told(error, live.pipe)) from None


def _told(error: BaseException, pipe: Pipe | None) -> str:
    """Why a server is not there, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, UpstreamError):
        return str(error)
    said = printable(str(error)) if isinstance(error, StockadeError | MCPError) else ""
    why = f"cannot be started: {said or type(error).__name__}"
    if isinstance(error, TimeoutError):
        why = f"did not start within {START:g} s"
    elif isinstance(error, MCPError) and pipe and pipe.cause:
        why = f"{pipe.cause} while starting"
    return f"{why} ({pipe.last_words})" if pipe and pipe.last_words else why
