"""Actions that lie at the edges of profiles: what each rule names, and what is just beside it.

No list of actions is all of them. This one has, for every pattern, host, port, method, tool and
bound of an argument that a profile names, some that are inside, some that are outside, and the
nearest on either side.
"""

from __future__ import annotations

import shlex
from itertools import chain, islice, product
from typing import TYPE_CHECKING, Any

from stockade.model.action import (
    Connection,
    Execution,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
)
from stockade.model.network import DEFAULT_PORTS, Protocol
from stockade.model.tools import BUILT_IN, SEPARATOR, ArgumentType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stockade.model.action import Action
    from stockade.model.profile import Profile
    from stockade.model.tools import ArgumentRule, ToolGrant

MAX_ACTIONS = 5_000
_PER_HOST = 400
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_PATHS = ("/", "/etc/passwd", "/workspace/x", "/tmp/x")  # noqa: S108 - in the machine


def actions_of(*profiles: Profile) -> list[Action]:
    """Actions at the edges of all ``profiles``, each once, at most ``MAX_ACTIONS``."""
    kinds = (_requests, _connections, _lookups, _models, _tools)
    unique: dict[str, Action] = {}
    for kind in kinds:
        share = MAX_ACTIONS // 2 if kind in (_requests, _tools) else MAX_ACTIONS // 10
        for action in islice(kind(profiles), share):
            unique.setdefault(action.model_dump_json(), action)
    run = Execution(argv=("true",))
    return [*list(unique.values())[: MAX_ACTIONS - 1], run]


def around(glob: str) -> list[str]:
    """Texts that a pattern fits, and their neighbours that it does not."""
    inside = [
        _instance(glob, deep, star, one)
        for deep, star, one in ((("x",), "x", "x"), (("x", "y"), "x.y", "z"), ((), "", "x"))
    ]
    first = inside[0]
    folder, slash, _ = first.rstrip("/").rpartition("/")
    beside = [first + "x", first.rstrip("/") + "/x", (folder or slash) or first[:-1]]
    fixed = glob.split("*", 1)[0].split("?", 1)[0].rstrip("/")
    beside += [fixed, fixed + "-x", fixed + "-x/x"] if fixed != glob else []
    return list(dict.fromkeys(text for text in (*inside, *beside) if text))


def _instance(glob: str, deep: Sequence[str], star: str, one: str) -> str:
    segments: list[str] = []
    for segment in glob.split("/"):
        segments += deep if segment == "**" else [segment.replace("*", star).replace("?", one)]
    return "/".join(segments) or "/"


def _hosts(pattern: str) -> list[str]:
    if pattern == "*":
        return ["example.org", "192.0.2.1"]
    name = pattern.removeprefix("*.")
    if ":" in name or name.rpartition(".")[2].isdigit():
        return [name, "192.0.2.1"]
    return [name, f"x.{name}", f"y.x.{name}", f"x{name}", f"{name}.example.org"]


def _absolute(globs: Iterable[str]) -> list[str]:
    found = [text for glob in globs for text in around(glob) if text.startswith("/")]
    return list(dict.fromkeys(found))


def _requests(profiles: Sequence[Profile]) -> Iterator[Action]:
    grants = [grant for profile in profiles for grant in profile.network]
    looked_into = [g for g in grants if g.protocol in (Protocol.HTTPS, Protocol.HTTP)]
    named = [method for grant in looked_into for method in grant.methods]
    methods = list(dict.fromkeys((*named, *_METHODS)))
    ends = [(g.protocol.value, g.effective_port) for g in looked_into]
    ends = list(dict.fromkeys((*ends, ("https", 443), ("http", 80), ("https", 8443))))
    for host in dict.fromkeys(h for grant in looked_into for h in _hosts(grant.host)):
        globs = [p for g in looked_into if host in _hosts(g.host) for p in g.paths]
        paths = list(dict.fromkeys(("/", "/x", *_absolute(globs))))
        # Each end and method once at least, however many paths there are.
        tried = chain(product(ends, methods, paths[-1:]), product(ends, methods, paths))
        for (scheme, port), method, path in islice(tried, _PER_HOST):
            yield HttpRequest(method=method, scheme=scheme, host=host, port=port, path=path)  # type: ignore[arg-type]


def _connections(profiles: Sequence[Profile]) -> Iterator[Action]:
    for grant in (grant for profile in profiles for grant in profile.network):
        ports = [grant.effective_port, grant.effective_port % 65_535 + 1, *DEFAULT_PORTS.values()]
        for host, protocol, port in product(_hosts(grant.host), ("tcp", "ssh"), ports):
            yield Connection(protocol=protocol, host=host, port=port)  # type: ignore[arg-type]


def _lookups(profiles: Sequence[Profile]) -> Iterator[Action]:
    for grant in (grant for profile in profiles for grant in profile.network):
        yield from (Lookup(host=host) for host in _hosts(grant.host))


def _models(profiles: Sequence[Profile]) -> Iterator[Action]:
    for grant in (grant for profile in profiles for grant in profile.models):
        for pattern in grant.models:
            names = [pattern.replace("*", text) for text in ("x", "", "x/y")]
            for name in dict.fromkeys((*names, f"{names[0]}x", f"x{names[0]}")):
                if name:
                    yield ModelCall(provider=grant.provider, model=name)
                    yield ModelCall(provider=f"{grant.provider}-x", model=name)


def _tools(profiles: Sequence[Profile]) -> Iterator[Action]:
    grants: dict[str, list[ToolGrant]] = {name: [] for name in BUILT_IN}
    for profile in profiles:
        for name, grant in profile.tools.items():
            grants.setdefault(name, []).append(grant)
        for server, of in profile.mcp.items():
            for name, grant in of.tools.items():
                grants.setdefault(f"{server}{SEPARATOR}{name}", []).append(grant)
    # A tool at a time, so that one with many patterns does not keep the others out.
    streams = [_calls(name, granted) for name, granted in grants.items()]
    while streams:
        for stream in list(streams):
            action = next(stream, None)
            if action is None:
                streams.remove(stream)
            else:
                yield action


def _calls(tool: str, grants: Sequence[ToolGrant]) -> Iterator[Action]:
    """Calls of one tool: everything as it may be, and one thing at a time at its edges."""
    choices = _choices(tool, grants)
    usual = {name: values[0] for name, values in choices.items() if values}
    yield _call(tool, usual)
    for name, values in choices.items():
        for value in values[1:]:
            yield _call(tool, {**usual, name: value})
        yield _call(tool, {key: value for key, value in usual.items() if key != name})


def _choices(tool: str, grants: Sequence[ToolGrant]) -> dict[str, list[Any]]:
    known = BUILT_IN.get(tool)
    choices: dict[str, list[Any]] = {}
    globs = [glob for grant in grants for glob in grant.paths or ()]
    for name in known.paths if known else ():
        choices[name] = list(dict.fromkeys((*_absolute(globs), *_PATHS)))
    if known and known.commands:
        commands = [command for grant in grants for command in grant.commands or ()]
        choices["argv"] = [argv for command in commands for argv in _argvs(command)] or [["true"]]
    for grant in grants:
        for name, rule in grant.arguments.items():
            choices[name] = [*choices.get(name, ()), *_values(rule)]
    return choices


def _argvs(command: str) -> list[list[str]]:
    words = shlex.split(command)
    more = words[-1] == "**"
    fixed = [_instance(word, ("x",), "x", "x") for word in (words[:-1] if more else words)]
    other = ["x", *fixed[1:]]
    return [fixed, [*fixed, "x"], fixed[:-1] or other, other, [*fixed[:-1], fixed[-1] + "x"]]


def _values(rule: ArgumentRule) -> list[Any]:
    """Values of an argument, the first one allowed if that is easy."""
    values: list[Any] = list(rule.enum or ())
    for glob in rule.globs or ():
        values += around(glob)
    low, high = rule.minimum, rule.maximum
    values += [] if low is None else [low, low - 1]
    values += [] if high is None else [high, high + 1]
    if rule.max_length is not None:
        shape: Any = ["x"] if rule.type is ArgumentType.ARRAY else "x"
        values += [shape * rule.max_length, shape * (rule.max_length + 1)]
    return [*values, "x", 0, True, [], {}]


def _call(tool: str, arguments: dict[str, Any]) -> ToolCall:
    known = BUILT_IN.get(tool)
    paths = {name: arguments[name] for name in (known.paths if known else ()) if name in arguments}
    return ToolCall(tool=tool, arguments=arguments, paths=paths)
