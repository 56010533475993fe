"""Words of the Cedar language: literals, patterns and whole rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def literal(text: str) -> str:
    """Write a text as Cedar's string literal."""
    return f'"{"".join(map(_escape, text))}"'


def pattern(text: str) -> str:
    """Write a pattern for Cedar's ``like``, in which ``*`` stands for any characters."""
    return literal(text)


def entity(kind: str, name: str) -> str:
    """Name an entity."""
    return f"{kind}::{literal(name)}"


def texts(values: Iterable[str]) -> str:
    """Write a set of texts."""
    return f"[{', '.join(map(literal, values))}]"


def rule(
    effect: str,
    name: str,
    *,
    agent: str,
    action: str,
    resource: str = "",
    when: Sequence[str] = (),
    ask: bool = False,
) -> str:
    """Write one rule; ``resource`` empty means any, and all of ``when`` must hold."""
    marks = f"@id({literal(name)})\n" + ('@effect("ask")\n' if ask else "")
    scope = [
        f"principal == {entity('Agent', agent)}",
        f"action == {entity('Action', action)}",
        f"resource == {resource}" if resource else "resource",
    ]
    body = "".join(f",\n    {part}" for part in scope)[1:]
    clause = " when {\n    " + " &&\n    ".join(when) + "\n}" if when else ""
    return f"{marks}{effect} ({body}\n){clause};\n"


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    return f"\\u{{{ord(character):x}}}"
