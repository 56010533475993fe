"""Third parties' tools beside our own: named, filtered, pinned, checked, and behind the same gate.

Agents are shown the accepted definitions, never what a server says today. So what a server changes
reaches nobody before a person has read it.
"""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
from pydantic import ValidationError

from stockade.model.action import Action, ToolCall
from stockade.model.tools import SEPARATOR
from stockade.model.verdict import Effect, Stage, Verdict
from stockade.tools.base import Description, Result
from stockade.tools.mcp.definitions import Definition, DefinitionError
from stockade.tools.mcp.results import to_result
from stockade.tools.mcp.text import printable
from stockade.tools.mcp.upstream import PATIENCE, Upstream, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.abc import TaskGroup

    from stockade.model.tools import ToolGrant, ToolServer
    from stockade.tools.base import Machine, Progress, Submit, Toolbox
    from stockade.tools.mcp.pins import Pins

MAX_RESULT: Final = 256 * 1024
"""Bytes of one answer, unless the profile says otherwise."""
_ACCEPT: Final = "A person can read and accept it with: stockade policy accept."
_SHOWN: Final = 40


class Gateway:
    """A toolbox of our own tools and those of ``servers``. Use it as an async context manager.

    ``bind`` gives it the gate, which in turn asks ``check`` whether a definition is accepted.
    ``notice`` is told what a person should know: it may hold a stranger's words, made printable.
    """

    def __init__(
        self,
        servers: Mapping[str, ToolServer],
        machine: Machine,
        pins: Pins,
        *,
        notice: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers, self._pins = servers, pins
        self._notice, self._clock = notice, clock
        self._upstreams = {
            name: Upstream(name, server, machine, notice=notice, clock=clock)
            for name, server in servers.items()
        }
        self._own: Toolbox | None = None
        self._submit: Submit | None = None
        self._tasks: TaskGroup | None = None
        self._stack = AsyncExitStack()
        self._told: set[str] = set()

    def bind(self, own: Toolbox, submit: Submit) -> None:
        """Give the gate, and the tools behind it, which could not be made without this."""
        self._own, self._submit = own, submit

    async def __aenter__(self) -> Self:
        """Be ready to start servers; each is started at its first call."""
        async with AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._tasks.cancel_scope.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all servers."""
        await self._stack.aclose()

    def waiting(self) -> list[str]:
        """The granted tools that nobody has accepted yet, by their full names."""
        return [
            f"{name}{SEPARATOR}{tool}"
            for name, server in sorted(self._servers.items())
            for tool in sorted(server.tools)
            if tool not in self._pins.get(name, {})
        ]

    async def descriptions(self) -> list[Description]:
        """Our own granted tools, and all others that are granted and accepted."""
        found = list(await self._own.descriptions()) if self._own else []
        for name, server in self._servers.items():
            for tool, definition in self._pins.get(name, {}).items():
                if tool in server.tools:
                    found.append(_describe(name, definition))
        return sorted(found, key=lambda description: description.name)

    async def call(
        self, name: str, arguments: Mapping[str, Any], progress: Progress | None = None
    ) -> Result:
        """Call a tool of either kind; ``KeyError`` if it is not granted."""
        server, separator, tool = name.partition(SEPARATOR)
        if not separator or server not in self._servers:
            if self._own is None:
                raise KeyError(name)
            return await self._own.call(name, arguments, progress)
        grant = self._servers[server].tools[tool]
        pinned = self._pins.get(server, {}).get(tool)
        if pinned and (problem := _misfit(pinned, arguments)):
            return Result(f"arguments of {name}: {problem}", failed=True)
        blocked = await self._blocked(server, tool)
        verdict = await self._ask(name, arguments)
        if not verdict.allowed:
            return Result(_refusal(name, verdict), failed=True)
        if blocked or pinned is None:
            # Also where a session only audits: what nobody has read is never passed on.
            return Result(f"{name} was refused: it {blocked}. {_ACCEPT}", failed=True)
        return await self._pass_on(server, pinned, arguments, grant, progress)

    async def check(self, action: Action) -> Verdict | None:
        """A verdict on calls of tools whose definition is not the accepted one."""
        if not isinstance(action, ToolCall):
            return None
        server, separator, tool = action.tool.partition(SEPARATOR)
        if not separator or server not in self._servers:
            return None
        if not (blocked := await self._blocked(server, tool)):
            return None
        return Verdict(
            effect=Effect.DENY,
            rule=f"mcp.{server}",
            reason=f"{printable(action.tool, 256)} {blocked}",
            hint=_ACCEPT,
            stage=Stage.SCREENING,
        )

    async def _ask(self, name: str, arguments: Mapping[str, Any]) -> Verdict:
        if self._submit is None:
            raise RuntimeError("no gate is bound")
        try:
            action = ToolCall(tool=name, arguments=dict(arguments))
        except ValidationError:
            return Verdict(
                effect=Effect.DENY, rule="default", reason="its arguments cannot be recorded"
            )
        return await self._submit(action)

    async def _blocked(self, server: str, tool: str) -> str:
        """Why a tool's definition is not one that a person has accepted; nothing, if it is."""
        pinned = self._pins.get(server, {}).get(tool)
        if pinned is None:
            return "has not been accepted"
        try:
            offered = (await self._upstreams[server].offered(self._running())).get(tool)
        except UpstreamError as error:
            return f"cannot be compared with what was accepted: its server {error}"
        if offered is None:
            return "is no longer offered by its server"
        if isinstance(offered, DefinitionError):
            return "has got a definition that is unfit"
        if offered.digest == pinned.digest:
            return ""
        self._tell(server, offered, pinned)
        # In our own words: the new ones are what must not reach the agent.
        return f"has changed since it was accepted ({', '.join(offered.changed_parts(pinned))})"

    def _tell(self, server: str, offered: Definition, pinned: Definition) -> None:
        key = f"{server}{SEPARATOR}{pinned.name}:{offered.digest}"
        if key in self._told:
            return
        self._told.add(key)
        lines = list(offered.changes_from(pinned))[:_SHOWN]
        self._notice(f"MCP server {server} has changed {pinned.name}: {' | '.join(lines)}")

    async def _pass_on(
        self,
        server: str,
        tool: Definition,
        arguments: Mapping[str, Any],
        grant: ToolGrant,
        progress: Progress | None,
    ) -> Result:
        patience = grant.timeout or self._servers[server].timeout or PATIENCE
        try:
            answer = await self._upstreams[server].call(
                self._running(),
                tool.name,
                arguments,
                patience=patience,
                progress=_Report(progress, self._clock) if progress else None,
            )
        except UpstreamError as error:
            return Result(f"MCP server {server} {error}", failed=True)
        return to_result(answer, tool.schema("outputSchema"), grant.output or MAX_RESULT)

    def _running(self) -> TaskGroup:
        if self._tasks is None:
            raise RuntimeError("the gateway is used outside `async with`")
        return self._tasks


class _Report:
    """Passes a stranger's progress on, one report at a time: whoever floods us does not queue."""

    def __init__(self, progress: Progress, clock: Callable[[], float]) -> None:
        self._progress, self._clock = progress, clock
        self._begun = clock()
        self._busy = False

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG002 - by name, as the SDK has it
        if self._busy:
            return
        self._busy = True
        try:
            await self._progress(self._clock() - self._begun, printable(message or "", 200))
        finally:
            self._busy = False


def _describe(server: str, definition: Definition) -> Description:
    parts = definition.parts
    # Clients evaluate it on what the server answers; it gets no expression to hang them with.
    output = definition.schema("outputSchema")
    weaker = output.weaker if output else None
    return Description(
        name=f"{server}{SEPARATOR}{definition.name}",
        title=parts.get("title") or definition.name,
        text=parts.get("description") or "",
        arguments=parts["inputSchema"],
        result=weaker if isinstance(weaker, dict) else None,
        hints=parts["annotations"],
    )


def _refusal(name: str, verdict: Verdict) -> str:
    return f"{name} was refused: {verdict.reason} (rule {verdict.rule}). {verdict.hint}".strip()


def _misfit(definition: Definition, arguments: Mapping[str, Any]) -> str:
    schema = definition.schema("inputSchema")
    if len(json.dumps(arguments)) > MAX_RESULT:
        return f"larger than {MAX_RESULT // 1024}KiB"
    return schema.problem(dict(arguments)) if schema else ""
