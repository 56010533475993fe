"""The MCP server that shows an agent its granted tools, whatever carries the messages.

A refusal or a failure of a tool is a result that says why, as MCP asks; only a call that makes no
sense, such as of a tool that is not granted, is a protocol error.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from stockade.model.errors import StockadeError
from stockade.tools.mcp.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.context import ServerRequestContext

    from stockade.tools.base import Description, Result, Toolbox

MAX_CALLS: Final = 8
"""Calls that run at once; those beyond wait for their turn."""
MAX_WAITING: Final = 64
"""Calls that wait; those beyond are refused."""
MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes of one message from a client."""
MAX_ARGUMENTS: Final = 1024 * 1024
"""Bytes of the arguments of one call."""
INSTRUCTIONS: Final = (
    "These tools work inside an isolated machine. What they may do is fixed beforehand; a refusal"
    " says what is allowed instead."
)


def build_server(
    toolbox: Toolbox, *, version: str, notice: Callable[[str], None] = lambda _: None
) -> Server[Any]:
    """A server of the tools in ``toolbox``; ``notice`` is told of what should never happen."""
    calls = _Calls(toolbox, notice)
    return Server(
        "stockade",
        version=version,
        title="Stockade",
        instructions=INSTRUCTIONS,
        on_list_tools=calls.list,
        on_call_tool=calls.call,
    )


class _Calls:
    """The two requests that there are."""

    def __init__(self, toolbox: Toolbox, notice: Callable[[str], None]) -> None:
        self._toolbox, self._notice = toolbox, notice
        self._turns = anyio.CapacityLimiter(MAX_CALLS)

    async def list(
        self, _context: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[_tool(found) for found in await self._toolbox.descriptions()]
        )

    async def call(
        self, context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        arguments = params.arguments or {}
        if len(json.dumps(arguments)) > MAX_ARGUMENTS:
            raise MCPError(
                types.INVALID_PARAMS, f"the arguments are larger than {MAX_ARGUMENTS >> 20}MiB"
            )
        if self._turns.statistics().tasks_waiting >= MAX_WAITING:
            raise MCPError(types.INTERNAL_ERROR, f"{MAX_WAITING} calls are waiting already")
        async with self._turns:
            return await self._call(context, params.name, arguments)

    async def _call(
        self, context: ServerRequestContext[Any, Any], name: str, arguments: dict[str, Any]
    ) -> types.CallToolResult:
        try:
            progress = partial(_report, context)
            return _result(await self._toolbox.call(name, arguments, progress))
        except KeyError:
            # MCP's own word for it; nothing is said of tools that exist and are not granted.
            raise MCPError(types.INVALID_PARAMS, f"unknown tool: {printable(name, 128)}") from None
        except StockadeError as error:
            hint = f". {error.hint}" if error.hint else ""
            return _failure(printable(f"{error}{hint}", 2000))
        except Exception as error:  # noqa: BLE001 - one call's accident is not the others'
            self._notice(f"the call of {printable(name, 128)} failed: {type(error).__name__}")
            return _failure("the call failed inside Stockade; what was asked for was not done")


async def _report(context: ServerRequestContext[Any, Any], seconds: float, words: str) -> None:
    await context.session.report_progress(round(seconds, 3), None, printable(words, 200))


def _tool(description: Description) -> types.Tool:
    return types.Tool(
        name=description.name,
        title=description.title,
        description=description.text,
        input_schema=dict(description.arguments),
        output_schema=None if description.result is None else dict(description.result),
        annotations=types.ToolAnnotations.model_validate(dict(description.hints)),
    )


def _result(result: Result) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=result.text)],
        structured_content=None if result.data is None else dict(result.data),
        is_error=result.failed,
    )


def _failure(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)
