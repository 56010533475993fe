"""Actions as people write them: ``http:GET https://api.github.com/repos``."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stockade.model.action import (
    ACTION,
    MAX_TEXT,
    Connection,
    Execution,
    HttpRequest,
    ModelCall,
    ToolCall,
    summarize,
)
from stockade.model.errors import UsageError
from stockade.model.tools import BUILT_IN
from stockade.model.wording import did_you_mean, explain, place, quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.model.action import Action

FORMS = {
    "tool": "tool:read_file path=/workspace/a.py",
    "http": "http:GET https://api.github.com/repos",
    "connect": "connect:tcp db.internal:5432",
    "lookup": "lookup:pypi.org",
    "model": "model:anthropic/claude-sonnet-4-5",
    "run": "run:pytest -q",
}
_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?")
_PORTS = {"https": 443, "http": 80, "ssh": 22}


def parse_action(text: str) -> Action:
    """Read an action in one of ``FORMS`` or as JSON; ``UsageError`` says what is wrong."""
    if len(text) > 16 * MAX_TEXT:
        raise UsageError("the action is too long")
    try:
        if text.lstrip().startswith("{"):
            return ACTION.validate_json(text)
        kind, colon, rest = text.partition(":")
        if not colon or kind not in FORMS:
            raise UsageError(
                f"{quote(text)} is not an action{did_you_mean(kind, FORMS)}",
                hint=f"Write JSON, or for example {'; '.join(FORMS.values())}",
            )
        return ACTION.validate_python({"kind": kind, **_READERS[kind](rest)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = place(first["loc"][1:]) or "action"
        raise UsageError(f"{quote(text)}: {where}: {explain(first)}") from None


def _words(kind: str, text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:
        raise UsageError(f"{quote(text)} has a quote that does not close") from None
    if not words:
        raise _wrong(kind, text)
    return words


def _wrong(kind: str, text: str) -> UsageError:
    return UsageError(
        f"{quote(f'{kind}:{text}')} is not an action", hint=f"Write for example {FORMS[kind]}"
    )


def _tool(text: str) -> dict[str, Any]:
    tool, *words = _words("tool", text)
    arguments: dict[str, Any] = {}
    if "--" in words:
        end = words.index("--")
        arguments["argv"] = words[end + 1 :]
        words = words[:end]
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(
                f"{quote(word)} is not an argument", hint="Write NAME=VALUE, or -- and a command."
            )
        arguments[name] = _value(value)
    known = BUILT_IN.get(tool)
    # As if there were no links; JSON can say where they lead.
    paths = {
        name: arguments[name]
        for name in (known.paths if known else ())
        if isinstance(arguments.get(name), str)
    }
    return {"tool": tool, "arguments": arguments, "paths": paths}


def _value(text: str) -> Any:
    """JSON where it is JSON, and text otherwise."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _http(text: str) -> dict[str, Any]:
    words = text.split(" ")
    match = _URL.fullmatch(words[1]) if len(words) == 2 else None
    if not match:
        raise _wrong("http", text)
    scheme, authority, path, query, fragment = match.groups()
    host, port = _authority(authority, scheme)
    return {
        "method": words[0],
        "scheme": scheme,
        "host": host,
        "port": port,
        # What a client would never send is kept, so that the policy says what it thinks of it.
        "path": (path or "/") + (fragment or ""),
        "query": query or "",
    }


def _authority(text: str, scheme: str) -> tuple[str, int]:
    match = _AUTHORITY.fullmatch(text)
    if match and (match[2] or scheme in _PORTS):
        return match[1], int(match[2] or _PORTS[scheme])
    return text, _PORTS.get(scheme, 0)


def _connect(text: str) -> dict[str, Any]:
    words = text.split(" ")
    if len(words) != 2:
        raise _wrong("connect", text)
    host, port = _authority(words[1], words[0])
    if not port:
        raise _wrong("connect", text)
    return {"protocol": words[0], "host": host, "port": port}


def _model(text: str) -> dict[str, Any]:
    provider, slash, model = text.partition("/")
    if not slash:
        raise _wrong("model", text)
    return {"provider": provider, "model": model}


_READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "tool": _tool,
    "http": _http,
    "connect": _connect,
    "lookup": lambda text: {"host": text},
    "model": _model,
    "run": lambda text: {"argv": _words("run", text)},
}


def action_text(action: Action) -> str:
    """Write an action so that ``parse_action`` reads it, if no links are in play."""
    match action:
        case ToolCall():
            words = [
                f"{name}={value if _plain(value) else json.dumps(value)}"
                for name, value in action.arguments.items()
            ]
            return shlex.join([f"tool:{action.tool}", *words])
        case Execution():
            return f"run:{shlex.join(action.argv)}"
        case HttpRequest():
            port = "" if action.port == _PORTS[action.scheme] else f":{action.port}"
            query = f"?{action.query}" if action.query else ""
            url = f"{action.scheme}://{action.host}{port}{action.path}{query}"
            return f"http:{action.method} {url}"
        case Connection() | ModelCall():
            return summarize(action)
        case _:
            return f"lookup:{action.host}"


def _plain(value: object) -> bool:
    return isinstance(value, str) and _value(value) == value
