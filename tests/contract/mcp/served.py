"""The server that the conformance suite is run against: Stockade's own, with the suite's tools.

``python served.py`` prints the URL on its first line and serves until its input ends. The suite has
no way to send a token, so it is added here to each request, in front of what asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import anyio

from stockade.tools.base import Description, Progress, Result
from stockade.tools.mcp.http import listen, make_app, serve_http, url_of
from stockade.tools.mcp.server import build_server

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_TOKEN: Final = "t" * 32
_NOTHING: Final = {"type": "object", "properties": {}}
_SCHEMA_2020_12: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


class SuiteTools:
    """The tools that the suite asks for by name, as far as tools of Stockade can be such."""

    async def descriptions(self) -> list[Description]:
        """All of them."""
        return [
            Description("json_schema_2020_12_tool", "Schema", "Has a schema.", _SCHEMA_2020_12),
            Description("test_error_handling", "Error", "Fails.", _NOTHING),
            Description("test_simple_text", "Text", "Gives text.", _NOTHING),
            Description("test_tool_with_progress", "Progress", "Reports.", _NOTHING),
        ]

    async def call(
        self, name: str, arguments: Mapping[str, Any], progress: Progress | None = None
    ) -> Result:
        """Do what the suite expects."""
        match name:
            case "test_simple_text":
                return Result("This is a simple text response for testing.")
            case "test_error_handling":
                return Result("This tool intentionally returns an error for testing", failed=True)
            case "test_tool_with_progress" if progress:
                for done in (0, 50, 100):
                    await progress(done, f"{done} done")
                return Result("Done.")
            case "json_schema_2020_12_tool":
                return Result(str(sorted(arguments)))
        raise KeyError(name)


def with_token(app: ASGIApp) -> ASGIApp:
    """Add the token to each request."""

    async def add(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            bearer = (b"authorization", f"Bearer {_TOKEN}".encode())
            scope = {**scope, "headers": [*scope["headers"], bearer]}
        await app(scope, receive, send)

    return add


async def main() -> None:
    """Serve until standard input ends."""
    listening = listen("127.0.0.1:0")
    app = with_token(make_app(build_server(SuiteTools(), version="1"), listening, _TOKEN))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_http, app, listening)
        print(url_of(listening), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
