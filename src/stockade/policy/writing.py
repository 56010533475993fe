"""A profile as text, with each grant on lines of its own.

Every line of a grant is needed: without it the grant is gone or the text is no profile. So one can
see what a line is for by taking it out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from stockade.model.profile import Profile
from stockade.model.quantities import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_READ_OTHERWISE = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_SCALARS = ("name", "image")
_DURATIONS = frozenset({"timeout", "wall_time", "cpu_time", "expires"})
_PARTS = ("wall", "limits", "pool", "budget", "env", "credentials")


def write_profile(
    profile: Profile, *, comments: Sequence[str] = (), uses: Mapping[str, int] | None = None
) -> str:
    """Write a profile in YAML; ``uses`` are numbers of calls to say beside each tool."""
    lines = [f"# {_comment(line)}".rstrip() for line in comments]
    lines.append("version: 1")
    usual = Profile().model_dump(mode="json", by_alias=True)
    data = profile.model_dump(mode="json", by_alias=True)
    data["credentials"] = {
        # Of the places of a secret only the one that is meant may be written.
        name: credential.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, credential in profile.credentials.items()
    }
    lines += [f"{key}: {_flow(data[key])}" for key in _SCALARS]
    for key in _PARTS:
        if data[key] != usual[key]:
            said = {k: v for k, v in data[key].items() if v is not None}
            lines.append(f"{key}: {_flow(said)}")
    if profile.policies:
        lines.append(f"policies: {_flow(data['policies'])}")
    for key in ("files", "approvals"):
        lines += [f"{key}:"] if data[key] else []
        lines += [f"  - {_flow(_without_none(entry))}" for entry in data[key]]
    lines += _grants(profile, uses or {})
    return "\n".join(lines) + "\n"


def _grants(profile: Profile, uses: Mapping[str, int]) -> Iterator[str]:
    """The lines of what is granted, one or more for each grant."""
    if profile.network:
        yield "network:"
    for grant in profile.network:
        said = grant.model_dump(mode="json", exclude_none=True, include=grant.model_fields_set)
        yield from _entry("  - ", said, "paths")
    if profile.models:
        yield "models:"
    for model in profile.models:
        yield from _entry("  - ", model.model_dump(mode="json", exclude_none=True), "models")
    if profile.tools:
        yield "tools:"
    for name, tool in profile.tools.items():
        yield from _tool(f"  {name}: ", tool, uses.get(name))
    yield from _servers(profile, uses)


def _servers(profile: Profile, uses: Mapping[str, int]) -> Iterator[str]:
    if profile.mcp:
        yield "mcp:"
    for server, of in profile.mcp.items():
        yield f"  {_flow(server)}:"
        for key, value in of.model_dump(mode="json", exclude_defaults=True).items():
            if key != "tools":
                yield f"    {key}: {_value(key, value)}"
        yield "    tools:"
        for name, tool in of.tools.items():
            yield from _tool(f"      {_flow(name)}: ", tool, uses.get(f"{server}__{name}"))


def _tool(head: str, tool: Any, used: int | None) -> Iterator[str]:
    said = tool.model_dump(mode="json", exclude_defaults=True)
    many = "commands" if "commands" in said else "paths"
    note = "" if used is None else f"  # {used} {'call' if used == 1 else 'calls'}"
    yield from _entry(head, said, many, note)


def _entry(head: str, said: dict[str, Any], many: str, note: str = "") -> Iterator[str]:
    """A mapping in one line, or with the values of ``many`` on a line each."""
    if len(said.get(many, ())) < 2:
        first = {many: said[many]} if many in said else {}
        yield f"{head}{_flow({**first, **said})}{note}"
        return
    values = said.pop(many)
    rest = _flow(said)[1:-1]
    comma = ", " if rest else ""
    indent = " " * (len(head) - len(head.lstrip()))
    yield f"{head}{{{rest}{comma}{many}: [{note}"
    for value in values:
        yield f"{indent}    {_flow(value)},"
    yield f"{indent}  ]}}"


def _without_none(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value is not None}


def _value(key: object, value: object) -> str:
    # With its units it is written to the millisecond; what is finer stays a number of seconds.
    if key in _DURATIONS and isinstance(value, float) and round(value, 3) == value:
        return format_duration(value)
    return _flow(value)


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_flow(k)}: {_value(k, v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _READ_OTHERWISE:
        return value
    text: str = yaml.safe_dump(value, default_style='"', width=float("inf"))
    return text.rstrip("\n")


def _comment(line: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)[:400]
