"""Whether one grant of a profile allows all that another does.

Every function errs on the side of no: what it cannot prove to be covered is not.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from stockade.model.profile import Access
from stockade.model.tools import ArgumentType
from stockade.policy import patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stockade.model.network import NetworkGrant
    from stockade.model.profile import FileGrant
    from stockade.model.spending import ModelGrant
    from stockade.model.tools import ArgumentRule, ToolGrant, ToolServer


def host_covers(wide: str, narrow: str) -> bool:
    """Whether the pattern ``wide`` stands for every host that ``narrow`` stands for."""
    if wide == narrow:
        return True
    if wide == "*":
        return not is_address(narrow)  # an address is only ever granted as itself
    return wide.startswith("*.") and narrow.endswith(wide[1:])


def is_address(host: str) -> bool:
    """Whether a host of a profile is an IP address."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def hosts_overlap(one: str, other: str) -> bool:
    """Whether there is a host that both stand for."""
    return host_covers(one, other) or host_covers(other, one)


def globs_cover(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Whether ``wide`` together fit all that ``narrow`` fit."""
    return all(patterns.covers(wide, glob) for glob in narrow)


def command_covers(wide: str, narrow: str) -> bool:
    """Whether each command that ``narrow`` lists, ``wide`` lists as well."""
    ours, theirs = shlex.split(wide), shlex.split(narrow)
    open_ended = ours[-1] == "**"
    if open_ended:
        ours.pop()
    elif theirs[-1] == "**":
        return False
    if theirs[-1] == "**":
        theirs.pop()
    if len(theirs) < len(ours) or (len(theirs) > len(ours) and not open_ended):
        return False
    return all(patterns.covers([our], their) for our, their in zip(ours, theirs, strict=False))


def network_covers(wide: NetworkGrant, narrow: NetworkGrant) -> bool:
    """Whether ``wide`` allows every request that ``narrow`` allows, with the same credential."""
    return (
        host_covers(wide.host, narrow.host)
        and (wide.protocol, wide.effective_port) == (narrow.protocol, narrow.effective_port)
        and set(narrow.methods) <= set(wide.methods)
        and globs_cover(wide.paths, narrow.paths)
        and narrow.credential in (None, wide.credential)
    )


def networks_overlap(one: NetworkGrant, other: NetworkGrant) -> bool:
    """Whether there is a request or connection that both allow."""
    return (
        hosts_overlap(one.host, other.host)
        and (one.protocol, one.effective_port) == (other.protocol, other.effective_port)
        and bool(set(one.methods) & set(other.methods))
        and patterns.overlap(one.paths, other.paths)
    )


def models_cover(wide: ModelGrant, narrow: ModelGrant) -> bool:
    """Whether ``wide`` allows every model that ``narrow`` allows, with the same credential."""
    return (
        wide.provider == narrow.provider
        and narrow.credential in (None, wide.credential)
        and all(any(_name_covers(ours, theirs) for ours in wide.models) for theirs in narrow.models)
    )


def _name_covers(wide: str, narrow: str) -> bool:
    # In names of models '*' stands for any characters, and '?' and '/' for themselves.
    ours, theirs = (name.replace("/", "\1").replace("?", "\2") for name in (wide, narrow))
    return patterns.covers([ours], theirs)


def files_cover(wide: FileGrant, narrow: FileGrant) -> bool:
    """Whether ``narrow`` gives nothing that ``wide`` does not give at the same place."""
    changes = narrow.access is Access.OVERLAY and wide.access is Access.READ
    return (wide.host, wide.guest) == (narrow.host, narrow.guest) and not changes


def tool_excess(wide: ToolGrant, narrow: ToolGrant) -> Iterator[tuple[str, str]]:
    """The keys in which ``narrow`` allows more than ``wide``, each with what is wrong."""
    if narrow.paths is not None and not (
        wide.paths is None or globs_cover(wide.paths, narrow.paths)
    ):
        yield "paths", f"{_list(narrow.paths)} goes beyond {_list(wide.paths)}"
    if narrow.commands is not None and not (
        wide.commands is None
        or all(any(command_covers(o, t) for o in wide.commands) for t in narrow.commands)
    ):
        yield "commands", f"{_list(narrow.commands)} goes beyond {_list(wide.commands)}"
    for key in ("paths", "commands"):
        if getattr(narrow, key) is None and getattr(wide, key) is not None:
            yield key, f"nothing goes beyond {_list(getattr(wide, key))}"
    for name, rule in wide.arguments.items():
        if name not in narrow.arguments:
            yield "arguments", f"the rule for {name!r} is missing"
        elif not rule_covers(rule, narrow.arguments[name]):
            yield "arguments", f"the rule for {name!r} allows more"
    for key in ("timeout", "output"):
        most, asked = getattr(wide, key), getattr(narrow, key)
        if most is not None and (asked is None or asked > most):
            yield key, f"{'no bound' if asked is None else f'{asked:g}'} is more than {most:g}"


def rule_covers(wide: ArgumentRule, narrow: ArgumentRule) -> bool:
    """Whether each value that ``narrow`` allows, ``wide`` allows; rule by rule."""
    integer = (wide.type, narrow.type) == (ArgumentType.NUMBER, ArgumentType.INTEGER)
    return all(
        (
            wide.type in (None, narrow.type) or integer,
            wide.enum is None or _values(narrow.enum, wide.enum),
            wide.minimum is None or (narrow.minimum is not None and narrow.minimum >= wide.minimum),
            wide.maximum is None or (narrow.maximum is not None and narrow.maximum <= wide.maximum),
            wide.max_length is None
            or (narrow.max_length is not None and narrow.max_length <= wide.max_length),
            wide.globs is None
            or (narrow.globs is not None and globs_cover(wide.globs, narrow.globs)),
            narrow.required or not wide.required,
        )
    )


def _values(narrow: Sequence[object] | None, wide: Sequence[object]) -> bool:
    # Python holds true and 1 for equal.
    known = {(type(value), value) for value in wide}
    return narrow is not None and all((type(value), value) in known for value in narrow)


def server_excess(wide: ToolServer, narrow: ToolServer) -> Iterator[tuple[tuple[str, ...], str]]:
    """The places in which ``narrow`` allows more than ``wide``, each with what is wrong."""
    for key in ("command", "url", "env"):
        if getattr(wide, key) != getattr(narrow, key):
            yield (key,), "it must be the same"
    for name, grant in narrow.tools.items():
        if name not in wide.tools:
            yield ("tools", name), "it is not granted"
            continue
        for key, message in tool_excess(wide.tools[name], grant):
            yield ("tools", name, key), message
    if wide.timeout is not None and (narrow.timeout is None or narrow.timeout > wide.timeout):
        asked = "no bound" if narrow.timeout is None else f"{narrow.timeout:g}"
        yield ("timeout",), f"{asked} is more than {wide.timeout:g}"


def _list(values: Sequence[str] | None) -> str:
    text = ", ".join(values or ("nothing",))
    return text if len(text) <= 120 else text[:120] + "..."
