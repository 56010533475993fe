"""Which models may be called, and what all of it may cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Name = Annotated[str, Field(min_length=1, max_length=256)]


class ModelGrant(BaseModel):
    """Models of one provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: _Name = Field(description="Such as anthropic or openai.")
    models: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=256)] = Field(
        description="Names; `*` stands for any characters."
    )
    credential: _Name | None = Field(
        default=None, description="Name of the credential that calls are given."
    )


class Budget(BaseModel):
    """The most that one session may spend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Annotated[float, Field(strict=False, gt=0, le=1_000_000)] | None = Field(
        default=None, description="US dollars."
    )
    tokens: Annotated[int, Field(strict=True, ge=1, le=10**12)] | None = Field(
        default=None, description="Tokens in and out together."
    )
    requests_per_minute: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = Field(
        default=None, description="Actions of all kinds in any minute."
    )
