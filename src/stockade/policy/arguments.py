"""Whether the arguments of a tool are what a profile says they may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stockade.model.wording import quote
from stockade.policy.globs import matches
from stockade.policy.refusal import Refused

if TYPE_CHECKING:
    from stockade.model.tools import ArgumentRule

_MAX_NODES = 100_000
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": (list, tuple),
    "object": Mapping,
}


def check_values(arguments: Mapping[str, object]) -> None:
    """Refuse what JSON has no word for: numbers that are none, text that is no Unicode."""
    pending: list[object] = [arguments]
    seen = 0
    while pending:
        value = pending.pop()
        seen += 1
        if seen > _MAX_NODES:
            raise Refused(f"arguments of more than {_MAX_NODES} values")
        if isinstance(value, str):
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise Refused(f"argument {quote(value)}, which is not valid Unicode text")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise Refused("an argument that is not a number")
        elif isinstance(value, Mapping):
            pending.extend(value.keys())
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
        elif value is not None and not isinstance(value, int):
            raise Refused(f"an argument that is {quote(value)}")


def wrong_with(rule: ArgumentRule, value: object) -> str:
    """Say what is wrong with a value, as in "must be at most 5"; nothing is a match.

    Truth values are no numbers. A bound on a number wants a number, one on a length text or a
    list, and a glob text: a rule that cannot be tried on a value is broken by it.
    """
    return next((fault for check in _CHECKS if (fault := check(rule, value))), "")


def _type(rule: ArgumentRule, value: object) -> str:
    if rule.type is None or _is(value, str(rule.type)):
        return ""
    return f"must be of type {rule.type}"


def _enum(rule: ArgumentRule, value: object) -> str:
    if rule.enum is None or any(_same(value, one) for one in rule.enum):
        return ""
    return f"must be one of {', '.join(map(quote, rule.enum[:8]))}"


def _bounds(rule: ArgumentRule, value: object) -> str:
    if rule.minimum is None and rule.maximum is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    if rule.minimum is not None and not value >= rule.minimum:
        return f"must be at least {rule.minimum}"
    if rule.maximum is not None and not value <= rule.maximum:
        return f"must be at most {rule.maximum}"
    return ""


def _length(rule: ArgumentRule, value: object) -> str:
    if rule.max_length is None:
        return ""
    if not isinstance(value, str | list | tuple):
        return "must be text or a list"
    return f"must not be longer than {rule.max_length}" if len(value) > rule.max_length else ""


def _globs(rule: ArgumentRule, value: object) -> str:
    if rule.globs is None:
        return ""
    if not isinstance(value, str):
        return "must be text"
    if any(matches(pattern, value) for pattern in rule.globs):
        return ""
    return f"must match {' or '.join(map(quote, rule.globs[:8]))}"


_CHECKS = (_type, _enum, _bounds, _length, _globs)


def _is(value: object, kind: str) -> bool:
    wanted = _TYPES.get(kind)
    if wanted is None or (isinstance(value, bool) and kind != "boolean"):
        return False
    return isinstance(value, wanted)


def _same(one: object, other: object) -> bool:
    # Python holds true for equal to 1.
    return isinstance(one, bool) == isinstance(other, bool) and one == other
