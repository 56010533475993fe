"""Which actions need a person's word."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stockade.model.limits import Duration


class ApprovalRule(BaseModel):
    """Actions that are asked about, though something else in the profile allows them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Annotated[str, Field(pattern=r"^(tool|http|connect|model):\S+$", max_length=256)] = (
        Field(description="Such as `tool:make_patch`, `http:POST` or `model:*`; `*` is any.")
    )
    host: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Only requests to this host; written as under `network`."
    )
    expires: Duration = Field(default=1800.0, description="Time after which silence is a no.")
