"""Which actions two policies decide differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stockade.model.action import Action
    from stockade.model.verdict import Verdict
    from stockade.policy.engine import Policy


@dataclass(frozen=True, slots=True)
class Change:
    """An action, and both verdicts on it."""

    action: Action
    before: Verdict
    after: Verdict

    @property
    def wider(self) -> bool:
        """Whether the later policy is the less strict one."""
        order = ("allow", "ask", "deny")
        return order.index(self.after.effect.value) < order.index(self.before.effect.value)


def diff(before: Policy, after: Policy, actions: Iterable[Action]) -> Iterator[Change]:
    """The ``actions`` that the two decide differently, each once, in their order."""
    seen = set()
    for action in actions:
        name = action.model_dump_json()
        if name in seen:
            continue
        seen.add(name)
        change = Change(action, before.decide(action), after.decide(action))
        if change.before.effect is not change.after.effect:
            yield change
