"""The rules that can concern one action, as one parsed set for Cedar.

Cedar takes time with the number of rules it is given, so it is given only those whose action and
key (host, tool, provider) fit; any other of the profile could not match. Rules of Cedar files are
in every set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cedarpy import Entities, PolicySet, is_authorized

from stockade.policy.facts import Facts, entities
from stockade.policy.filerules import FileRule
from stockade.policy.globs import compiled
from stockade.policy.toolrules import argument_fault

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence

    from stockade.policy.rules import Rule

_MANY = 16
_MOST_NARROWED = 256
_NOBODY = Entities.from_json_str("[]")


@dataclass(frozen=True)
class Answer:
    """What Cedar says of a set: whether it allows, and the rules that made it so."""

    allowed: bool
    decided: tuple[Rule | FileRule, ...]
    failed: tuple[str, ...] = ()
    """Errors of evaluation; Cedar ignores the rule that had one, which a ``forbid`` must not be."""


class Slice:
    """Some rules of a profile, in its order, and all of its Cedar files."""

    def __init__(self, agent: str, rules: Sequence[Rule], files: Sequence[FileRule]) -> None:
        self.rules = tuple(rules)
        self._principal = {"type": "Agent", "id": agent}
        self._files = tuple(files)
        self._all: tuple[Rule | FileRule, ...] = (*rules, *files)
        self._uses = frozenset[str]().union(*(rule.uses for rule in rules))
        self._globs: dict[str, Callable[[str], re.Match[str] | None]] = {
            text: compiled(text).match for rule in rules for text in rule.globs
        }
        self._narrowed: dict[tuple[int, ...], Slice] = {}
        # Without either there is nothing to say but no.
        self.has_say = bool(files) or any(rule.grants for rule in rules)

    def context(self, facts: Facts) -> dict[str, object]:
        """Give the context: with Cedar files all of it, otherwise what the rules read."""
        if self._files:
            return self.full_context(facts)
        computed = self._computed(facts)
        found = {key: facts.context[key] for key in self._uses if key in facts.context}
        for key in self._uses & computed.keys():
            found[key] = computed[key]()
        return found

    def full_context(self, facts: Facts) -> dict[str, object]:
        """Give all that the schema names for the action."""
        return {**facts.context, **{key: value() for key, value in self._computed(facts).items()}}

    def _computed(self, facts: Facts) -> Mapping[str, Callable[[], list[str]]]:
        if facts.action == "http":
            return {"path_globs": lambda: self._matching(facts.context["path"])}
        if facts.action == "tool":
            return {
                "path_globs": lambda: self._matching(facts.context.get("path")),
                "leads_to_globs": lambda: self._matching(facts.context.get("leads_to")),
                "command_globs": lambda: self._commands(facts),
                "kept": lambda: self._kept(facts),
            }
        return {}

    def _matching(self, path: object) -> list[str]:
        if not isinstance(path, str):
            return []
        text = "/" + path
        return [pattern for pattern, match in self._globs.items() if match(text)]

    def _commands(self, facts: Facts) -> list[str]:
        if not facts.words:
            return []
        patterns = (pattern for rule in self.rules for pattern in rule.commands)
        return [pattern.text for pattern in patterns if pattern.matches(facts.words)]

    def _kept(self, facts: Facts) -> list[str]:
        return [
            name
            for rule in self.rules
            for name, wanted in rule.arguments.items()
            if not argument_fault(wanted, name, facts)
        ]

    def ask(self, facts: Facts, context: Mapping[str, object]) -> Answer:
        """Let Cedar decide by all rules."""
        return self._ask(self._whole, self._all, facts, context)

    def ask_approved(self, facts: Facts, context: Mapping[str, object]) -> Answer:
        """Let Cedar decide as if everything that needs somebody's word had it."""
        return self._ask(*self._approved, facts, context)

    def ask_grants(self, facts: Facts, context: Mapping[str, object]) -> Answer:
        """Let Cedar decide by what grants alone."""
        return self._ask(*self._grants, facts, context)

    @cached_property
    def _whole(self) -> PolicySet:
        return PolicySet.from_str("\n".join(rule.cedar for rule in self._all))

    @cached_property
    def _approved(self) -> tuple[PolicySet, tuple[Rule | FileRule, ...]]:
        return self._subset([rule for rule in self._all if not asks(rule)])

    @cached_property
    def _grants(self) -> tuple[PolicySet, tuple[Rule | FileRule, ...]]:
        return self._subset([rule for rule in self._all if rule.grants])

    def _subset(
        self, rules: list[Rule | FileRule]
    ) -> tuple[PolicySet, tuple[Rule | FileRule, ...]]:
        return PolicySet.from_str("\n".join(rule.cedar for rule in rules)), tuple(rules)

    def narrowed(self, context: Mapping[str, object]) -> Slice:
        """Give the rules without those of which no glob matches, where there are many.

        Such a rule wants one that does, so it could not match. What was parsed is kept; as agents
        choose the paths, no more than a bounded number.
        """
        matched = context.get("path_globs")
        if len(self.rules) <= _MANY or not isinstance(matched, list):
            return self
        matched = frozenset(matched)
        places = tuple(
            place
            for place, rule in enumerate(self.rules)
            if not rule.globs or not matched.isdisjoint(rule.globs)
        )
        found = self._narrowed.get(places)
        if found is None:
            if len(self._narrowed) >= _MOST_NARROWED:
                self._narrowed.clear()
            rules = [self.rules[place] for place in places]
            found = self._narrowed[places] = Slice(self._principal["id"], rules, self._files)
        return found

    def _ask(
        self,
        policies: PolicySet,
        rules: tuple[Rule | FileRule, ...],
        facts: Facts,
        context: Mapping[str, object],
    ) -> Answer:
        request = {
            "principal": self._principal,
            "action": {"type": "Action", "id": facts.action},
            "resource": {"type": facts.kind, "id": facts.resource},
            "context": json.dumps(context),
        }
        known = Entities.from_json_str(entities(facts)) if self._files else _NOBODY
        result = is_authorized(request, policies, known)
        diagnostics = result.diagnostics
        # Cedar names rules by their position in the text: policy0, policy1, ...
        positions = sorted(int(reason.removeprefix("policy")) for reason in diagnostics.reasons)
        return Answer(
            result.allowed,
            tuple(rules[position] for position in positions),
            tuple(map(str, diagnostics.errors)),
        )


def asks(rule: Rule | FileRule) -> bool:
    """Whether a rule forbids only until somebody has agreed."""
    return rule.asks if isinstance(rule, FileRule) else not rule.grants
