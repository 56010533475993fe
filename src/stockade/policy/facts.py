"""An action in the words that rules are written in, or the reason why it has no clear meaning.

What Cedar cannot compute (patterns by segments, what a tool's arguments may be) is found out here
and told to it as sets of texts: which of the profile's patterns match, which arguments are as the
profile wants them.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stockade.model.action import (
    Action,
    Connection,
    Execution,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
)
from stockade.model.tools import BUILT_IN
from stockade.model.wording import quote
from stockade.policy.arguments import check_values
from stockade.policy.commands import clean_command
from stockade.policy.hosts import Host, clean_host
from stockade.policy.paths import clean_path
from stockade.policy.refusal import Refused
from stockade.policy.urls import clean_method, clean_query, clean_url_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACTIONS = ("tool", "http", "connect", "lookup", "model", "run")
MAX_PROGRAM = 4096
_NAME = 256


@dataclass(frozen=True)
class Facts:
    """What is known of an action before any rule is asked.

    ``context`` has everything that the schema names for the action but what depends on a profile.
    """

    action: str
    kind: str
    resource: str
    context: Mapping[str, object]
    host: Host | None = None
    words: list[str] = field(default_factory=list)
    arguments: Mapping[str, object] = field(default_factory=dict)


def facts_of(action: Action) -> Facts:
    """Read an action; ``Refused`` if it cannot be read in one way only."""
    reader = _READERS.get(type(action))
    if reader is None:
        raise Refused(f"{quote(action)}, which is no action")
    return reader(action)


def _tool(action: ToolCall) -> Facts:
    tool = _name(action.tool, "tool")
    if len(action.arguments) > 64:
        raise Refused(f"{tool} with more than 64 arguments")
    check_values(action.arguments)
    context: dict[str, object] = {"tool": tool, "arguments": sorted(action.arguments)}
    words: list[str] = []
    known = BUILT_IN.get(tool)
    if known:
        for argument in known.paths:
            asked, leads = _path(action, argument)
            # One path argument at most: see tests/unit/policy/test_facts.py.
            context |= {"path": asked, "leads_to": leads}
        if known.commands:
            words = clean_command(action.arguments.get("argv"))
            context |= {"program": words[0], "command": shlex.join(words)}
    return Facts("tool", "Tool", tool, context, words=words, arguments=action.arguments)


def _path(action: ToolCall, argument: str) -> tuple[str, str]:
    value = action.arguments.get(argument)
    if not isinstance(value, str):
        raise Refused(
            f"{action.tool} without {argument!r} as text", f"Give {argument!r}, an absolute path."
        )
    asked = clean_path(value)
    leads = action.paths.get(argument)
    if not isinstance(leads, str):
        raise Refused(
            f"{quote(value)}, of which the machine did not say where it leads",
            "Tell whoever runs this session; the tool should have looked first.",
        )
    return asked, clean_path(leads)


def _http(action: HttpRequest) -> Facts:
    host = clean_host(action.host)
    context: dict[str, object] = {
        "scheme": "https" if action.scheme == "https" else "http",
        "method": clean_method(action.method),
        "port": _port(action.port),
        "path": clean_url_path(action.path),
        "query": clean_query(action.query),
        **_host(host),
    }
    return Facts("http", "Host", host.text, context, host=host)


def _connect(action: Connection) -> Facts:
    host = clean_host(action.host)
    context = {"protocol": str(action.protocol), "port": _port(action.port), **_host(host)}
    return Facts("connect", "Host", host.text, context, host=host)


def _lookup(action: Lookup) -> Facts:
    host = clean_host(action.host)
    if host.address:
        raise Refused(f"a look-up of {quote(host.text)}, which is an address already")
    return Facts("lookup", "Host", host.text, {"name": host.text}, host=host)


def _model(action: ModelCall) -> Facts:
    provider, model = _name(action.provider, "provider"), _name(action.model, "model")
    context = {"provider": provider, "model": model, "full": f"{provider}/{model}"}
    return Facts("model", "Provider", provider, context)


def _run(action: Execution) -> Facts:
    words = clean_command(action.argv)
    if len(words[0]) > MAX_PROGRAM:
        raise Refused(f"a program with a name of more than {MAX_PROGRAM} characters")
    context = {"program": words[0], "command": shlex.join(words)}
    return Facts("run", "Program", words[0], context, words=words)


def _host(host: Host) -> dict[str, object]:
    if host.address:
        return {"address": {"__extn": {"fn": "ip", "arg": host.text}}}
    return {"name": host.text}


def _port(port: int) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise Refused(f"port {quote(port)}, which is none")
    return port


def _name(text: str, what: str) -> str:
    if not text or len(text) > _NAME or not text.isprintable():
        raise Refused(f"{what} {quote(text)}, which is not a name")
    return text


_READERS: dict[type, Callable[..., Facts]] = {
    ToolCall: _tool,
    HttpRequest: _http,
    Connection: _connect,
    Lookup: _lookup,
    ModelCall: _model,
    Execution: _run,
}


def entities(facts: Facts) -> str:
    """Give the tool called as Cedar's JSON, its arguments being tags: text as it is, else JSON."""
    if facts.kind != "Tool":
        return "[]"
    tags = {
        name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for name, value in facts.arguments.items()
    }
    uid = {"type": "Tool", "id": facts.resource}
    return json.dumps([{"uid": uid, "attrs": {}, "parents": [], "tags": tags}])
