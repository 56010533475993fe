"""What the record keeps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stockade.model.action import Action
from stockade.model.usage import Usage
from stockade.model.verdict import Verdict


class Decision(BaseModel):
    """An action and the gate's verdict on it.

    ``time`` is in seconds since the epoch. ``enforced`` is false where the session only audits, so
    that an action went ahead in spite of its verdict.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["decision"] = "decision"
    session: str
    time: float
    action: Annotated[Action, Field(discriminator="kind")]
    verdict: Verdict
    enforced: bool = True


class Spending(BaseModel):
    """What a call of a language model used and cost. ``time`` is in seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["spending"] = "spending"
    session: str
    time: float
    usage: Usage


Event = Decision | Spending

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
"""Reads an event from a document, as a journal keeps it; pydantic's errors if it is none."""
