"""Models, approvals, and what the person running a session starts, as rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.model.errors import ProfileError
from stockade.policy import cedartext as cedar
from stockade.policy.networkrules import host_key, host_scope, lookup_rule
from stockade.policy.rules import Context, Lacks, Rule, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.model.profile import Profile
    from stockade.model.spending import ModelGrant
    from stockade.policy.facts import Facts

_ASKED = {"tool": ("tool",), "http": ("method",), "connect": ("protocol",)}
_ASKED_MODEL = ("full", "provider", "model")


def run_rule(profile: Profile) -> Rule:
    """Give the rule that lets the person who runs a session start programs in its machine."""
    text = cedar.rule("permit", "run", agent=profile.name, action="run")
    return Rule(id="run", action="run", key="", cedar=text, allows="any program may be started")


def model_rules(profile: Profile) -> Iterator[Rule]:
    """Give a rule for each grant of models; ``*`` in them is Cedar's own."""
    for index, grant in enumerate(profile.models):
        place = f"models[{index}]"
        yield Rule(
            id=place,
            action="model",
            key=grant.provider,
            cedar=cedar.rule(
                "permit",
                place,
                agent=profile.name,
                action="model",
                resource=cedar.entity("Provider", grant.provider),
                when=[_like_any("model", grant.models)],
            ),
            uses=frozenset({"model"}),
            allows=f"{grant.provider}: {shortened(grant.models)}",
            lacks=_model_lacks(grant),
        )
        if grant.effective_host:
            key = host_key(grant.effective_host, f"{place}.host")
            yield lookup_rule(profile.name, place, key)


def _model_lacks(grant: ModelGrant) -> Lacks:
    def lacks(facts: Facts, _context: Context) -> list[str]:
        model = str(facts.context["model"])
        if any(like(pattern, model) for pattern in grant.models):
            return []
        return [f"only {shortened(grant.models)} is granted"]

    return lacks


def like(pattern: str, text: str) -> bool:
    """Match as Cedar does: ``*`` is any characters; leftmost finds suffice, so this is linear."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    position = len(first)
    for part in middle:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    fits = len(text) - len(last) >= position
    return fits and text.startswith(first) and text.endswith(last)


def approval_rules(profile: Profile, source: str) -> Iterator[Rule]:
    """Give a rule for each approval: it forbids, until somebody has been asked.

    What is asked about is matched generously: by case of a method either way, and for a model by
    its name, its provider or both joined by ``/``. To ask in vain is the safer mistake.
    """
    for index, approval in enumerate(profile.approvals):
        place = f"approvals[{index}]"
        kind, _, wanted = approval.action.partition(":")
        resource, key = "", ""
        when: list[str] = []
        uses: frozenset[str] = frozenset()
        if approval.host is not None:
            if kind not in ("http", "connect"):
                raise ProfileError(
                    f"{source or 'profile'}: {place}.host: a {kind} has no host; remove it"
                )
            key = host_key(approval.host, f"{source or 'profile'}: {place}.host")
            if key == "*":
                key = ""  # any host at all, addresses too: this is no grant
            else:
                resource, when, uses = host_scope(key)
        if wanted != "*":
            names = _ASKED_MODEL if kind == "model" else _ASKED[kind]
            patterns = tuple(dict.fromkeys((wanted, wanted.upper())))
            options = [_like_any(name, patterns if kind == "http" else (wanted,)) for name in names]
            when.append(options[0] if len(options) == 1 else f"({' || '.join(options)})")
            uses |= frozenset(names)
        yield Rule(
            id=place,
            action=kind,
            key=key,
            cedar=cedar.rule(
                "forbid",
                place,
                agent=profile.name,
                action=kind,
                resource=resource,
                when=when,
                ask=True,
            ),
            uses=uses,
            grants=False,
            allows=approval.action,
        )


def _like_any(name: str, patterns: tuple[str, ...]) -> str:
    options = [f"context.{name} like {cedar.pattern(pattern)}" for pattern in patterns]
    return options[0] if len(options) == 1 else f"({' || '.join(options)})"
