"""How a person accepts third parties' tools: they are shown, asked about, and written down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.cli.messages import complain
from stockade.cli.profiles import read
from stockade.model.errors import StockadeError, UsageError
from stockade.model.wording import did_you_mean, quote
from stockade.sandbox.sandbox import Sandbox
from stockade.tools.mcp.definitions import Definition, DefinitionError
from stockade.tools.mcp.pins import Pins, pins_path, read_pins, write_pins
from stockade.tools.mcp.text import printable
from stockade.tools.mcp.upstream import Upstream, UpstreamError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

    from stockade.model.profile import Profile
    from stockade.model.tools import ToolServer

Offered = dict[str, "Definition | DefinitionError"]


def run(arguments: Namespace) -> int:
    """Go through the servers of a profile, or the one that is named."""
    file = Path(arguments.profile)
    profile = read(file).profile
    servers = _chosen(profile, arguments.server)
    pins = read_pins(pins_path(file))
    offers, failures = anyio.run(ask_servers, profile, servers)
    for name, why in failures.items():
        complain(f"MCP server {name} {why}")
    news: Pins = {}
    unfit = bool(failures)
    for name, offered in offers.items():
        changed, sound = _compare(name, servers[name], offered, pins.get(name, {}))
        news[name] = changed
        unfit |= not sound
    gone = _forget(profile, pins) if arguments.server is None else False
    if any(news.values()):
        if not arguments.yes and not _confirmed():
            return 1
        for name, changed in news.items():
            pins[name] = {**pins.get(name, {}), **changed}
    if any(news.values()) or gone:
        write_pins(pins_path(file), pins)
        print(f"Written to {pins_path(file)}.")
    else:
        print("Nothing to accept." if not unfit else "Nothing that could be accepted.")
    return int(unfit)


async def ask_servers(
    profile: Profile, servers: Mapping[str, ToolServer]
) -> tuple[dict[str, Offered], dict[str, str]]:
    """What the servers offer, and why for those that do not answer."""
    offers: dict[str, Offered] = {}
    failures: dict[str, str] = {}
    async with (
        Sandbox(profile, command=["policy", "accept"]) as box,
        anyio.create_task_group() as tasks,
    ):
        for name, server in servers.items():
            upstream = Upstream(name, server, box, notice=lambda _: None)
            try:
                offers[name] = dict(await upstream.offered(tasks))
            except UpstreamError as error:
                failures[name] = str(error)
        tasks.cancel_scope.cancel()
    return offers, failures


def _chosen(profile: Profile, name: str | None) -> Mapping[str, ToolServer]:
    if not profile.mcp:
        raise UsageError(f"profile {profile.name!r} has no MCP servers", hint="Nothing to accept.")
    if name is None:
        return profile.mcp
    if name not in profile.mcp:
        raise UsageError(
            f"profile {profile.name!r} has no MCP server {quote(name)}"
            f"{did_you_mean(name, profile.mcp)}"
        )
    return {name: profile.mcp[name]}


def _compare(
    name: str, server: ToolServer, offered: Offered, pinned: Mapping[str, Definition]
) -> tuple[dict[str, Definition], bool]:
    """Show what is new or changed; give it, and whether all that is granted can be accepted."""
    changed: dict[str, Definition] = {}
    sound = True
    for tool in sorted(server.tools):
        found = offered.get(tool)
        if isinstance(found, Definition):
            if tool not in pinned or found.digest != pinned[tool].digest:
                changed[tool] = found
                for line in _shown(name, found, pinned.get(tool)):
                    print(line)
            continue
        sound = False
        why = f"cannot be accepted: {found}" if found else "is not offered by its server"
        complain(f"tool {tool} of {name} {printable(why)}")
    others = sorted(printable(tool, 80) for tool in offered.keys() - server.tools.keys())
    if others:
        print(f"{name} also offers, and the profile does not grant: {', '.join(others[:32])}")
    return changed, sound


def _shown(server: str, found: Definition, before: Definition | None) -> Iterator[str]:
    yield f"{server}: {found.name} {'is new' if before is None else 'has changed'}"
    yield from (f"    {line}" for line in (found.changes_from(before) if before else found.show()))
    yield f"    sha256 {found.digest}"
    yield ""


def _forget(profile: Profile, pins: Pins) -> bool:
    """Drop the pins of what the profile no longer grants; True if there were any."""
    stale = [
        (name, tool)
        for name, tools in pins.items()
        for tool in tools
        if name not in profile.mcp or tool not in profile.mcp[name].tools
    ]
    for name, tool in stale:
        del pins[name][tool]
    for name in [name for name, tools in pins.items() if not tools]:
        del pins[name]
    return bool(stale)


def _confirmed() -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise StockadeError(
            "nobody is there to ask", hint="Read the above and repeat the command with --yes."
        )
    print("Agents will be shown exactly this. Accept it? [y/N] ", end="", flush=True)
    return sys.stdin.readline(8).strip().lower() in {"y", "yes"}
