"""The smallest profile that allows what was recorded.

It grants the very values that were recorded, and more only where that is asked for
(``Generalize``). The language of profiles sets two bounds to "smallest": a tool has one grant, so
its paths and its arguments go together in any combination that was not recorded as well; and a
character of a path that is a wildcard is replaced by ``?``, which fits any other as well. What
others of the learned patterns fit already is left out.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stockade.model.action import Connection, HttpRequest, Lookup, ModelCall, ToolCall
from stockade.model.conflicts import matches, tool_names
from stockade.model.errors import StockadeError
from stockade.model.network import DEFAULT_PORTS, NetworkGrant, Protocol
from stockade.model.profile import Profile
from stockade.model.spending import ModelGrant
from stockade.model.tools import BUILT_IN, SEPARATOR, ArgumentRule, ToolGrant
from stockade.model.wording import explain, place
from stockade.policy import covers, patterns
from stockade.policy.commands import CommandPattern
from stockade.policy.facts import facts_of
from stockade.policy.globs import matches as fits
from stockade.policy.learnedargument import learned_rule
from stockade.policy.needed import needed
from stockade.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stockade.model.action import Action
    from stockade.policy.facts import Facts


class Generalize(StrEnum):
    """In what way a learned profile may allow more than was recorded."""

    NONE = "none"
    FOLDER = "folder"
    HOST = "host"
    ARGUMENTS = "arguments"


@dataclass(frozen=True, slots=True)
class Learned:
    """A profile, how many recorded actions each of its rules rests on, and what it leaves out.

    ``left_out`` are the actions that no grant can allow, each with the reason.
    """

    profile: Profile
    uses: dict[str, int]
    left_out: list[tuple[Action, str]]


@dataclass
class _Calls:
    """All recorded calls of one tool; patterns with what each was made for."""

    count: int = 0
    paths: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    commands: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    values: dict[str, list[object]] = field(default_factory=lambda: defaultdict(list))


def learn(
    actions: Iterable[Action],
    *,
    base: Profile | None = None,
    generalize: Iterable[Generalize] = (),
) -> Learned:
    """Learn a profile from ``actions``.

    Whatever no action tells of (image, files, limits, secrets, tool servers) is taken from
    ``base``. ``StockadeError`` if there is more than a profile can hold.
    """
    learner = _Learner(base or Profile(name="learned"), frozenset(generalize))
    for action in actions:
        learner.take(action)
    return learner.result()


class _Learner:
    def __init__(self, base: Profile, generalize: frozenset[Generalize]) -> None:
        self._base, self._generalize = base, generalize
        self._left_out: list[tuple[Action, str]] = []
        self._tools: dict[str, _Calls] = defaultdict(_Calls)
        # (host, protocol, port, credential) -> pattern -> (method, path)
        self._requests: dict[_End, dict[str, set[_Request]]] = defaultdict(lambda: defaultdict(set))
        self._ends: dict[_End, None] = {}
        self._names: dict[str, None] = {}
        self._models: dict[tuple[str, str | None], dict[str, None]] = defaultdict(dict)
        self._readers: dict[type, Callable[[Any, Facts], None]] = {
            ToolCall: self._tool,
            HttpRequest: self._http,
            Connection: self._connect,
            Lookup: lambda _action, facts: self._names.update({facts.resource: None}),
            ModelCall: self._model,
        }

    def take(self, action: Action) -> None:
        reader = self._readers.get(type(action))
        if reader is None:
            return  # what a person starts needs no grant
        try:
            reader(action, facts_of(action))
        except Refused as refusal:
            # No profile allows what has no one clear meaning.
            self._left_out.append((action, f"refused {refusal}"))

    def _tool(self, action: ToolCall, facts: Facts) -> None:
        server, separator, _ = action.tool.partition(SEPARATOR)
        if action.tool not in BUILT_IN and not (separator and server in self._base.mcp):
            known = "its server is in no profile; give --profile" if separator else "no such tool"
            self._left_out.append((action, known))
            return
        calls = self._tools[action.tool]
        calls.count += 1
        built_in = BUILT_IN.get(action.tool)
        special: set[str] = set(built_in.paths) if built_in else set()
        for key in ("path", "leads_to"):
            if key in facts.context:
                path = str(facts.context[key])
                calls.paths[self._path(path)].add(path)
        if built_in and built_in.commands:
            special.add("argv")
            calls.commands[shlex.join(map(exact, facts.words))].add(tuple(facts.words))
        for name, value in action.arguments.items():
            if name not in special and Generalize.ARGUMENTS not in self._generalize:
                calls.values[name].append(value)

    def _path(self, path: str) -> str:
        folder = exact(path).rpartition("/")[0]
        return f"{folder}/*" if Generalize.FOLDER in self._generalize else exact(path)

    def _http(self, action: HttpRequest, facts: Facts) -> None:
        path = str(facts.context["path"])
        pattern = "/**" if Generalize.HOST in self._generalize else self._path(path)
        protocol = Protocol(action.scheme)
        end = (facts.resource, protocol, action.port, self._credential(action, facts))
        self._requests[end][pattern].add((action.method, path))

    def _credential(self, action: HttpRequest, facts: Facts) -> str | None:
        for grant in self._base.network:
            if (
                (grant.protocol.value, grant.effective_port) == (action.scheme, action.port)
                and covers.host_covers(grant.host, facts.resource)
                and action.method in grant.methods
                and any(patterns.fits(glob, str(facts.context["path"])) for glob in grant.paths)
            ):
                return grant.credential
        return None

    def _connect(self, action: Connection, facts: Facts) -> None:
        self._ends[facts.resource, Protocol(action.protocol), action.port, None] = None

    def _model(self, action: ModelCall, _facts: Facts) -> None:
        known = [grant for grant in self._base.models if grant.provider == action.provider]
        credential = known[0].credential if known else None
        if "*" in action.model:
            self._left_out.append((action, "its name has a '*', which would stand for any"))
            return
        self._models[action.provider, credential][action.model] = None

    def result(self) -> Learned:
        fields: dict[str, Any] = {
            "network": self._network(),
            "models": [
                ModelGrant(provider=provider, models=tuple(names), credential=credential)
                for (provider, credential), names in self._models.items()
            ],
        }
        try:
            fields |= self._granted()
            profile = Profile.model_validate({**dict(self._base), **self._kept(fields)})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise StockadeError(
                f"more than a profile can hold: {place(first['loc'])}: {explain(first)}",
                hint="Let it be wider, such as by --generalize folder.",
            ) from None
        uses = {name: calls.count for name, calls in self._tools.items()}
        return Learned(profile, uses, self._left_out)

    def _granted(self) -> dict[str, Any]:
        tools: dict[str, ToolGrant] = {}
        servers: dict[str, dict[str, ToolGrant]] = {}
        for name, calls in self._tools.items():
            server, separator, inner = name.partition(SEPARATOR)
            old = self._base.tools.get(name)
            if separator:
                old = self._base.mcp[server].tools.get(inner)
                servers.setdefault(server, {})[inner] = _grant(calls, old)
            else:
                tools[name] = _grant(calls, old)
        mcp = {
            server: self._base.mcp[server].model_copy(update={"tools": grants})
            for server, grants in servers.items()
        }
        return {"tools": tools, "mcp": mcp}

    def _network(self) -> list[NetworkGrant]:
        grants = []
        for (host, protocol, port, credential), asked in self._requests.items():
            alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for pattern, methods in _needed_requests(asked).items():
                alike[methods].append(pattern)
            for methods, together in alike.items():
                more: dict[str, Any] = {"paths": tuple(together), "methods": methods}
                if credential is not None:
                    more["credential"] = credential
                grants.append(_network(host, protocol, port, **more))
        grants += [_network(host, protocol, port) for host, protocol, port, _ in self._ends]
        # A grant for anything else lets the name be looked up as well.
        known = {grant.host for grant in grants}
        grants += [NetworkGrant(host=name, methods=()) for name in self._names if name not in known]
        return grants

    def _kept(self, fields: dict[str, Any]) -> dict[str, Any]:
        """``fields``, and what of the base still makes sense beside them."""
        used = {grant.credential for grant in (*fields["network"], *fields["models"])}
        credentials = {n: c for n, c in self._base.credentials.items() if n in used}
        names = tool_names(self._base.model_copy(update=fields))
        approvals = [
            rule
            for rule in self._base.approvals
            if not rule.action.startswith("tool:")
            or any(matches(rule.action.removeprefix("tool:"), name) for name in names)
        ]
        return {**fields, "credentials": credentials, "approvals": approvals}


_End = tuple[str, Protocol, int, str | None]
_Request = tuple[str, str]


def _needed_requests(asked: dict[str, set[_Request]]) -> dict[str, tuple[str, ...]]:
    """The patterns of paths that are needed, each with its methods."""
    methods = {
        pattern: tuple(sorted({method for method, _ in requests}))
        for pattern, requests in asked.items()
    }

    def allows(pattern: str, request: _Request) -> bool:
        method, path = request
        return method in methods[pattern] and fits(pattern, path)

    return {pattern: methods[pattern] for pattern in needed(asked, allows)}


def _needed_commands(calls: _Calls) -> tuple[str, ...]:
    patterns = {text: CommandPattern(text) for text in calls.commands}
    return tuple(needed(calls.commands, lambda text, words: patterns[text].matches(words)))


def _grant(calls: _Calls, old: ToolGrant | None) -> ToolGrant:
    rules: dict[str, ArgumentRule] = {}
    for name, values in calls.values.items():
        rule = learned_rule(values, always=len(values) == calls.count)
        if rule is not None:
            rules[name] = rule
    return ToolGrant(
        paths=tuple(needed(calls.paths, fits)) or None,
        commands=_needed_commands(calls) or None,
        arguments=rules,
        timeout=old.timeout if old else None,
        output=old.output if old else None,
    )


def _network(host: str, protocol: Protocol, port: int, **more: Any) -> NetworkGrant:
    usual = DEFAULT_PORTS.get(protocol) == port
    return NetworkGrant(host=host, protocol=protocol, port=None if usual else port, **more)


def exact(text: str) -> str:
    """A pattern that fits ``text`` and as little else as patterns can say."""
    return "".join("?" if c in "*?" or not c.isprintable() else c for c in text)
