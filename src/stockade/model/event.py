"""What the record keeps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stockade.model.action import Action
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


Event = Decision
