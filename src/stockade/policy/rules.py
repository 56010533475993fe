"""What a profile grants and asks, as rules: each in Cedar, with what to say about it.

``lacks`` says in words what a rule that does not match would need. It is for explanations; Cedar
decides. That the two agree is tested over generated actions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stockade.policy.facts import Facts

if TYPE_CHECKING:
    from stockade.model.tools import ArgumentRule
    from stockade.policy.commands import CommandPattern

Context = Mapping[str, object]
Lacks = Callable[[Facts, Context], list[str]]


def no_lack(_facts: Facts, _context: Context) -> list[str]:
    """Nothing; the rule's scope is all there is to it."""
    return []


@dataclass(frozen=True)
class Rule:
    """A rule of a profile.

    ``id`` is its place there. ``action`` and ``key`` say which actions it can concern at all: those
    of that name whose host (as a profile writes it, with wildcards), tool, or provider is ``key``;
    an empty key is any. ``uses`` names the attributes of the context that ``cedar`` reads.
    ``grants`` is false for a rule that asks. ``allows`` says in a few words what it allows.
    """

    id: str
    action: str
    key: str
    cedar: str
    uses: frozenset[str] = frozenset()
    grants: bool = True
    allows: str = ""
    lacks: Lacks = no_lack
    globs: Sequence[str] = ()
    commands: tuple[CommandPattern, ...] = ()
    arguments: Mapping[str, ArgumentRule] = field(default_factory=dict)


def shortened(values: Sequence[str], most: int = 4) -> str:
    """List a few values in one line of bounded length."""
    shown = [value if len(value) <= 80 else value[:80] + "..." for value in values[:most]]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
