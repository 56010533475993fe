"""A tool session as the command line serves it: streams or HTTP, the token, and what is said."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from stockade import __version__
from stockade.cli.messages import say
from stockade.cli.profiles import build_profile, read_cedar
from stockade.cli.streams import InheritedStreams
from stockade.model.errors import UsageError
from stockade.sandbox.paths import runtime_dir
from stockade.tool_session import ToolSession, open_session
from stockade.tools.mcp.pins import pins_path, read_pins
from stockade.tools.mcp.server import build_server

if TYPE_CHECKING:
    from argparse import Namespace

    from mcp.server.lowlevel import Server

    from stockade.model.profile import Profile


def run(arguments: Namespace) -> int:
    """Serve the tools of the profile that ``arguments`` add up to."""
    profile = build_profile(arguments)
    if not profile.tools and not profile.mcp:
        raise UsageError(
            f"profile {profile.name!r} grants no tool", hint="Name some under `tools:` or `mcp:`."
        )
    anyio.run(_serve, profile, arguments)
    return 0


async def _serve(profile: Profile, arguments: Namespace) -> None:
    async with open_session(
        profile,
        cedar=read_cedar(profile),
        pins=read_pins(pins_path(Path(arguments.profile))) if profile.mcp else {},
        enforce=not arguments.audit_only,
        notice=say,
    ) as session:
        server = build_server(session.toolbox, version=__version__, notice=say)
        tools = len(await session.toolbox.descriptions())
        say(
            f"session {session.box.id} serves {tools} tools of profile {profile.name!r};"
            f" journal {session.journal_path}"
        )
        if session.unaccepted:
            say(
                f"not served until accepted: {', '.join(session.unaccepted[:8])}; read them with:"
                f" stockade policy accept --profile {arguments.profile}"
            )
        if arguments.http is None:
            await _serve_streams(server)
        else:
            await _serve_http(server, arguments.http, session)


async def _serve_streams(server: Server[Any]) -> None:
    from stockade.tools.mcp.stdio import serve_stdio

    protocol = os.dup(1)
    # Whatever else would print to standard output must not speak to the client.
    os.dup2(2, 1)
    streams = InheritedStreams(output=protocol)
    await serve_stdio(server, streams.input(), streams.give_output)


async def _serve_http(server: Server[Any], address: str, session: ToolSession) -> None:
    from stockade.tools.mcp.http import listen, make_app, serve_http, url_of
    from stockade.tools.mcp.token import VARIABLE, new_token, take_token

    token = take_token(os.environ)
    listening = listen(address)
    with ExitStack() as stack:
        stack.enter_context(listening)
        where = f"the one in {VARIABLE}"
        if token is None:
            path = runtime_dir() / "tokens" / session.box.id
            token = stack.enter_context(new_token(path))
            where = str(path)
        say(f"MCP at {url_of(listening)}; its token is {where}")
        await serve_http(make_app(server, listening, token), listening)
