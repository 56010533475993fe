"""The rule for an argument of a tool that fits the values it was recorded with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stockade.model.tools import ArgumentRule, ArgumentType

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_EXACT = 256
"""Characters of text, and values of one argument, that are listed; others get bounds."""

# What the YAML of profiles can hold as a number.
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,9}")


def learned_rule(values: Sequence[object], *, always: bool) -> ArgumentRule | None:
    """The narrowest rule for ``values``; None if only no rule at all fits them.

    ``always`` says that every call had the argument.
    """
    distinct = {(type(value), repr(value)): value for value in values}
    listed = list(distinct.values())
    if len(listed) <= MAX_EXACT and all(map(_exact, listed)):
        return ArgumentRule(enum=tuple(listed), required=always)  # type: ignore[arg-type]
    kinds = {_kind(value) for value in listed}
    if kinds == {ArgumentType.INTEGER, ArgumentType.NUMBER}:
        kinds = {ArgumentType.NUMBER}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind in (ArgumentType.STRING, ArgumentType.ARRAY):
        longest = max(len(value) for value in listed if isinstance(value, str | list))
        return ArgumentRule(type=kind, max_length=longest, required=always)
    if kind is None and not always:
        return None
    return ArgumentRule(type=kind, required=always)


def _exact(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_EXACT
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return _INTEGER.fullmatch(str(value)) is not None if value.bit_length() < 64 else False
    return isinstance(value, float) and _DECIMAL.fullmatch(repr(value)) is not None


def _kind(value: object) -> ArgumentType | None:
    if isinstance(value, bool):
        return ArgumentType.BOOLEAN
    kinds = {
        str: ArgumentType.STRING,
        int: ArgumentType.INTEGER,
        float: ArgumentType.NUMBER,
        list: ArgumentType.ARRAY,
        dict: ArgumentType.OBJECT,
    }
    return kinds.get(type(value))
