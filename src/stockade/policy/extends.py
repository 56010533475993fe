"""A profile that extends another: what it adds up to, and where it would allow more.

Sections that the narrower profile does not name are inherited. In ``limits``, ``budget``, ``wall``
and ``pool`` that holds key by key; any other section that it names stands in place of the wider
one's. Approvals and Cedar files of the wider profile stay, whatever is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stockade.model.conflicts import matches, tool_names
from stockade.model.profile import Profile, WallKind
from stockade.model.quantities import format_duration, format_size
from stockade.model.wording import quote
from stockade.policy import covers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import BaseModel

    from stockade.model.document import ProfileDocument

Excess = tuple[tuple[int | str, ...], str]
"""A place in the narrower profile, and in what way it allows more."""

_BY_KEY = ("wall", "limits", "pool", "budget")
_SIZES = ("memory", "output", "scratch")
_TIMES = ("wall_time", "cpu_time")


def compose(wide: Profile, narrow: ProfileDocument) -> dict[str, Any]:
    """The fields of the profile that ``narrow`` and what it extends add up to."""
    named = narrow.model_fields_set
    fields: dict[str, Any] = {}
    for section in Profile.model_fields:
        ours, theirs = getattr(wide, section), getattr(narrow, section)
        if section in _BY_KEY:
            fields[section] = ours.model_copy(
                update={key: getattr(theirs, key) for key in theirs.model_fields_set}
            )
        else:
            fields[section] = theirs if section in named else ours
    if "credentials" not in named:
        # One that its last grant was taken from would be an error, and not the author's.
        users = (*fields["network"], *fields["models"])
        used = {grant.credential for grant in users}
        fields["credentials"] = {n: c for n, c in wide.credentials.items() if n in used}
    fields["approvals"] = tuple(
        dict.fromkeys((*_still_meant(wide, fields), *narrow.approvals))  # each once, in order
    )
    fields["policies"] = tuple(dict.fromkeys((*wide.policies, *narrow.policies)))
    return fields


def _still_meant(wide: Profile, fields: dict[str, Any]) -> Iterator[object]:
    """The approvals of ``wide`` without those for tools that are no longer granted."""
    granted = tool_names(wide.model_copy(update=fields))
    for rule in wide.approvals:
        kind, _, pattern = rule.action.partition(":")
        if kind != "tool" or any(matches(pattern, name) for name in granted):
            yield rule


def excesses(wide: Profile, narrow: ProfileDocument) -> Iterator[Excess]:
    """Everything in which ``narrow`` allows, or may allow, more than ``wide``."""
    named = narrow.model_fields_set
    if "image" in named and narrow.image != wide.image:
        yield ("image",), _differs(wide.image, narrow.image)
    for section in _BY_KEY:
        yield from _scalars(section, getattr(wide, section), getattr(narrow, section))
    yield from _environment(wide, narrow)
    yield from _entries("files", narrow.files, wide.files, covers.files_cover)
    yield from _entries("network", narrow.network, wide.network, covers.network_covers)
    yield from _entries("models", narrow.models, wide.models, covers.models_cover)
    for name, credential in narrow.credentials.items():
        if name not in wide.credentials:
            yield ("credentials", name), "the profile it extends has no such credential"
        elif wide.credentials[name] != credential:
            yield ("credentials", name), "it is not the same as in the profile it extends"
    yield from _tools(wide, narrow)


def _tools(wide: Profile, narrow: ProfileDocument) -> Iterator[Excess]:
    for name, grant in narrow.tools.items():
        if name not in wide.tools:
            yield ("tools", name), "the profile it extends does not grant it"
            continue
        for key, message in covers.tool_excess(wide.tools[name], grant):
            yield ("tools", name, key), message
    for name, server in narrow.mcp.items():
        if name not in wide.mcp:
            yield ("mcp", name), "the profile it extends has no such server"
            continue
        for place, message in covers.server_excess(wide.mcp[name], server):
            yield ("mcp", name, *place), message


def _scalars(section: str, wide: BaseModel, narrow: BaseModel) -> Iterator[Excess]:
    for key in narrow.model_fields_set:
        ours, theirs = getattr(wide, key), getattr(narrow, key)
        if key == "minimum":
            # The kinds are listed strongest first.
            kinds = list(WallKind)
            more = kinds.index(theirs) > kinds.index(ours)
            words = f"{theirs} is weaker than {ours}"
        else:
            more = ours is not None and (theirs is None or theirs > ours)
            words = f"{_show(key, theirs)} is more than {_show(key, ours)}"
        if more:
            yield (section, key), words


def _show(key: str, value: float | None) -> str:
    if value is None:
        return "no bound"
    if key in _SIZES:
        return format_size(int(value))
    return format_duration(value) if key in _TIMES else f"{value:.12g}"


def _environment(wide: Profile, narrow: ProfileDocument) -> Iterator[Excess]:
    for name, value in narrow.env.items():
        if name not in wide.env:
            yield ("env", name), "the profile it extends does not set it"
        elif wide.env[name] != value:
            yield ("env", name), _differs(wide.env[name], value)


def _entries(
    section: str,
    narrow: Sequence[Any],
    wide: Sequence[Any],
    cover: Callable[[Any, Any], bool],
) -> Iterator[Excess]:
    for index, entry in enumerate(narrow):
        if not any(cover(other, entry) for other in wide):
            yield (section, index), "no grant of the profile it extends covers it"


def _differs(ours: str, theirs: str) -> str:
    return f"{quote(theirs)} is not {quote(ours)}, as in the profile it extends"
