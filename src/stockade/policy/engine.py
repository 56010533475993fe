"""The profile's word on actions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stockade.model.errors import ProfileError
from stockade.model.verdict import Effect, Verdict
from stockade.model.wording import quote
from stockade.policy.explanation import Explanation, nearest
from stockade.policy.facts import ACTIONS, Facts, facts_of
from stockade.policy.filerules import FileRule, read_cedar
from stockade.policy.networkrules import host_keys, network_rules
from stockade.policy.otherrules import approval_rules, model_rules, run_rule
from stockade.policy.refusal import Refused
from stockade.policy.rules import Rule, shortened
from stockade.policy.slices import Answer, Slice, asks
from stockade.policy.toolrules import tool_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.model.action import Action
    from stockade.model.profile import Profile

DEFAULT = "default"
"""The rule named where nothing grants an action."""
_BROKEN = "Tell whoever runs this session; what was asked for is not the cause."


def compile_profile(
    profile: Profile, *, cedar: Mapping[str, str] | None = None, source: str = ""
) -> Policy:
    """Make a policy of a profile and the Cedar files beside it (name to text).

    ``source`` is what errors call the profile. ``ProfileError`` names the file and line of a Cedar
    rule that is wrong, or the place in the profile of what cannot be a rule; it is one as well that
    a file which the profile names was not given, as its rules might have forbidden something.
    """
    for path in profile.policies:
        if str(path) not in (cedar or {}):
            raise ProfileError(f"{source or 'profile'}: Cedar file {quote(str(path))} was not read")
    files = [
        rule
        for name, text in (cedar or {}).items()
        for rule in read_cedar(name, text, profile.name)
    ]
    rules = [
        run_rule(profile),
        *tool_rules(profile, source),
        *network_rules(profile, source),
        *model_rules(profile),
        *approval_rules(profile, source),
    ]
    tools = Counter(rule.key for rule in rules if rule.action == "tool" and rule.grants)
    for key, count in tools.items():
        if count > 1:
            raise ProfileError(f"{source or 'profile'}: two tools are both called {quote(key)}")
    return Policy(profile.name, rules, files)


class Policy:
    """A compiled profile. It decides the same way each time, and never raises."""

    def __init__(self, agent: str, rules: list[Rule], files: list[FileRule]) -> None:
        self._agent, self._rules, self._files = agent, rules, files
        self._index: dict[tuple[str, str], list[int]] = {}
        for position, rule in enumerate(rules):
            self._index.setdefault((rule.action, rule.key), []).append(position)
        self._instead = {action: _granted_keys(rules, action) for action in ACTIONS}
        # Parsed when first asked of. Its keys are combinations that the profile itself has, one
        # for each host, wildcard, tool and provider in it; what agents ask for adds none.
        self._slices: dict[tuple[str, tuple[str, ...]], Slice] = {}

    def text(self) -> str:
        """Give all rules in Cedar, for people."""
        parts = [f"// Profile {self._agent}: what is not permitted here is denied.\n"]
        parts += [rule.cedar for rule in self._rules]
        parts += [f"// {rule.id.removeprefix('cedar:')}\n{rule.cedar}\n" for rule in self._files]
        return "\n".join(parts)

    def decide(self, action: Action) -> Verdict:
        """Allow, deny or ask; whatever fails on the way is a denial."""
        try:
            return self._decide(action)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic in Cedar is no Exception, and no yes
            return _deny(f"the policy failed ({type(error).__name__})", _BROKEN)

    def explain(self, action: Action) -> Explanation:
        """Give the verdict with all that had a part in it, and what would have been needed."""
        verdict = self.decide(action)
        try:
            facts = facts_of(action)
            part = self._slice(facts)
            context = part.context(facts)
            whole, grants = part.ask(facts, context), part.ask_grants(facts, context)
            opposed = () if whole.allowed else whole.decided
            return Explanation(
                verdict,
                granted=_ids(grants.decided),
                forbade=_ids(tuple(rule for rule in opposed if not asks(rule))),
                asked=_ids(tuple(rule for rule in opposed if asks(rule))),
                nearest=() if verdict.effect is not Effect.DENY else nearest(part, facts),
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - as above; what is no clear action has no rules
            return Explanation(verdict)

    def _decide(self, action: Action) -> Verdict:
        try:
            facts = facts_of(action)
        except Refused as refusal:
            return _deny(f"refused {refusal}", refusal.hint)
        part = self._slice(facts)
        if not part.has_say:
            return self._nothing_grants(facts, part)
        context = part.context(facts)
        part = part.narrowed(context)
        answer = part.ask(facts, context)
        if answer.failed:
            return _deny(f"a rule failed on {_what(facts)}", _BROKEN)
        if answer.allowed:
            rule = answer.decided[0].id
            reason = f"{_what(facts)} is granted by {rule}"
            return Verdict(effect=Effect.ALLOW, rule=rule, reason=reason)
        return self._opposed(facts, part, answer, context)

    def _opposed(
        self, facts: Facts, part: Slice, answer: Answer, context: Mapping[str, object]
    ) -> Verdict:
        forbidding = [rule for rule in answer.decided if not asks(rule)]
        if forbidding:
            return _forbidden(forbidding[0], facts)
        approved = part.ask_approved(facts, context) if answer.decided else answer
        if approved.failed or not approved.allowed:
            return self._nothing_grants(facts, self._slice(facts))
        rule = answer.decided[0]
        return Verdict(
            effect=Effect.ASK,
            rule=rule.id,
            reason=_said_by(rule) or f"{_what(facts)} needs somebody's approval",
            hint="Wait for the answer, or do what needs none.",
        )

    def _slice(self, facts: Facts) -> Slice:
        keys = host_keys(facts.host) if facts.host else [facts.resource]
        present = tuple(key for key in (*keys, "") if (facts.action, key) in self._index)
        name = (facts.action, present)
        found = self._slices.get(name)
        if found is None:
            places = sorted(p for key in present for p in self._index[facts.action, key])
            found = Slice(self._agent, [self._rules[place] for place in places], self._files)
            self._slices[name] = found
        return found

    def _nothing_grants(self, facts: Facts, part: Slice) -> Verdict:
        near = nearest(part, facts)
        if not near:
            return _deny(f"{_what(facts)} is not granted", self._instead[facts.action])
        lacks = min((rule.lacks for rule in near), key=len)
        reason = "; ".join(lacks[:3])
        hint = "; ".join(rule.allows for rule in near[:3] if rule.allows)
        return _deny(
            f"{_what(facts)} is not granted: {_line(reason)}", f"Granted: {hint}" if hint else ""
        )


def _granted_keys(rules: list[Rule], action: str) -> str:
    keys = dict.fromkeys(r.key for r in rules if r.action == action and r.grants and r.key)
    return f"Granted: {shortened(list(keys), 8)}" if keys else "The profile grants none."


def _forbidden(rule: Rule | FileRule, facts: Facts) -> Verdict:
    reason = _said_by(rule) or f"{_what(facts)} is forbidden by {rule.id}"
    return Verdict(effect=Effect.DENY, rule=rule.id, reason=reason)


def _said_by(rule: Rule | FileRule) -> str:
    return _line(rule.reason) if isinstance(rule, FileRule) else ""


def _what(facts: Facts) -> str:
    """Name an action in a few printable words of bounded length."""
    context = facts.context
    match facts.action:
        case "tool":
            return facts.resource
        case "http":
            where = f"{context['scheme']}://{facts.resource}:{context['port']}"
            return f"{context['method']} {where} {quote(context['path'])}"
        case "connect":
            return f"a {context['protocol']} connection to {facts.resource}:{context['port']}"
        case "lookup":
            return f"the address of {facts.resource}"
        case "model":
            return f"model {quote(context['full'])}"
        case _:
            return f"program {quote(facts.resource)}"


def _line(text: str) -> str:
    words = " ".join(text.split())
    return "".join(c for c in words if c.isprintable())[:400]


def _deny(reason: str, hint: str = "") -> Verdict:
    return Verdict(effect=Effect.DENY, rule=DEFAULT, reason=reason, hint=hint)


def _ids(rules: tuple[Rule | FileRule, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule.id for rule in rules))
