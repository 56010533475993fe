"""What the gate answers."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Effect(StrEnum):
    """Whether an action may take effect; the later, the stricter."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Stage(StrEnum):
    """The parts of the gate, in the order in which an action passes them."""

    SCREENING = "screening"
    POLICY = "policy"
    LIMITS = "limits"
    APPROVAL = "approval"
    RECORD = "record"


class Verdict(BaseModel):
    """An answer, the rule that decided, and a reason that a person or an agent can act on.

    ``rule`` is the place in the profile (``tools.read_file``, ``network[0]``), ``cedar:ID`` for a
    rule of a Cedar file, or ``default`` where nothing grants the action. ``reason`` is one line;
    ``hint`` says what is allowed or what would be needed, or is empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: Effect
    rule: str
    reason: str
    hint: str = ""
    stage: Stage = Stage.POLICY

    @property
    def allowed(self) -> bool:
        """Whether the action may take effect now."""
        return self.effect is Effect.ALLOW
