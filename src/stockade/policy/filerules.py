"""Rules of Cedar files beside a profile: each with its place, checked against the schema."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cedarpy import PolicySet, pst, validate_policies

from stockade.model.errors import ProfileError
from stockade.model.wording import quote
from stockade.policy.schema import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 256 * 1024
MAX_RULES = 1024

_TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*+"?|;|[^\s;"/]+|/|\s+', re.DOTALL)


@dataclass(frozen=True)
class FileRule:
    """One rule of a Cedar file.

    ``asks`` is for a ``forbid`` marked ``@effect("ask")``; ``reason`` is its ``@reason``, if any.
    """

    id: str
    cedar: str
    grants: bool
    asks: bool
    reason: str


def read_cedar(name: str, text: str, agent: str) -> list[FileRule]:
    """Read a file for ``agent``; ``ProfileError`` names the line where the first bad rule begins.

    A rule that names another agent is an error: a profile that extends this one has a name of its
    own, and a ``forbid`` must not be lost on the way.
    """
    if len(text) > MAX_BYTES:
        raise ProfileError(f"{name}:1: larger than {MAX_BYTES // 1024}KiB")
    rules = []
    for index, (line, piece) in enumerate(_pieces(text)):
        if index >= MAX_RULES:
            raise ProfileError(f"{name}:{line}: more than {MAX_RULES} rules")
        rules.append(_rule(f"{name}:{line}", f"cedar:{name}#policy{index}", piece, agent))
    return rules


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Cut a file after each ``;`` that is in no text and no comment: Cedar has it nowhere else."""
    piece: list[str] = []
    line = begun = 1
    for match in _TOKEN.finditer(text):
        part = match[0]
        blank = part.isspace() or part.startswith("//")
        if not piece and not blank:
            begun = line
        if piece or not blank:
            piece.append("\n" if part.startswith("//") else part)
        line += part.count("\n")
        if part == ";":
            yield begun, "".join(piece)
            piece = []
    if piece:
        yield begun, "".join(piece)


def _rule(place: str, name: str, piece: str, agent: str) -> FileRule:
    try:
        parsed = PolicySet.from_str(piece).to_pst()
    except ValueError as error:
        raise ProfileError(f"{place}: not valid Cedar: {_short(error)}") from None
    if parsed.templates:
        raise ProfileError(
            f"{place}: a template grants nothing", hint="Write principal and resource out."
        )
    if len(parsed.static_policies) != 1:
        raise ProfileError(f"{place}: not valid Cedar: a rule is missing")
    policy = next(iter(parsed.static_policies.values()))
    for entity in pst.entity_uids(policy):
        if str(entity.type) == "Agent" and entity.id != agent:
            raise ProfileError(
                f"{place}: a rule for agent {quote(entity.id)}, which {quote(agent)} is not",
                hint="Leave the principal open: rules hold for the profile that names the file.",
            )
    effect = policy.annotations.get("effect")
    if effect is not None and (effect != "ask" or policy.effect != "forbid"):
        raise ProfileError(
            f"{place}: @effect({quote(effect)}) on a {policy.effect}",
            hint='The only mark is @effect("ask"), on a forbid: it forbids until somebody agrees.',
        )
    problems = validate_policies(piece, schema())
    if not problems.validation_passed:
        first = next((error.error for error in problems.errors), "it does not fit the schema")
        raise ProfileError(
            f"{place}: {_short(first.removeprefix('for policy `policy0`, '))}",
            hint="docs/reference/cedar.md has all that a rule can speak of.",
        )
    reason = policy.annotations.get("reason", "")
    return FileRule(name, piece, policy.effect == "permit", effect == "ask", reason)


def _short(message: object) -> str:
    words = " ".join(str(message).split())
    return words if len(words) <= 200 else words[:200] + "..."
