"""Why an action got its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.model.verdict import Verdict
    from stockade.policy.facts import Facts
    from stockade.policy.slices import Slice

MOST = 5


@dataclass(frozen=True)
class Nearest:
    """A rule that could have granted an action: what it allows, and what stood against it."""

    rule: str
    allows: str
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """A verdict with all rules that had a say, by their ids, and the grants that came nearest."""

    verdict: Verdict
    granted: tuple[str, ...] = ()
    forbade: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    nearest: tuple[Nearest, ...] = ()


def nearest(part: Slice, facts: Facts) -> tuple[Nearest, ...]:
    """Give the rules that came nearest to granting an action, the nearest first."""
    context = part.full_context(facts)
    found = [
        Nearest(rule.id, rule.allows, tuple(rule.lacks(facts, context)))
        for rule in part.rules
        if rule.grants
    ]
    return tuple(sorted(found, key=lambda near: len(near.lacks))[:MOST])
