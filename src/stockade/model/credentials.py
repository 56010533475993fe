"""Secrets that requests are given on their way out, and that no agent ever sees."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # RFC 9110, section 5.6.2: token


class Credential(BaseModel):
    """Where a secret is kept on the host, and how a request carries it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: Annotated[str, Field(max_length=4096)] = Field(
        alias="from", description="Such as env:GITHUB_TOKEN; the secret itself is never written."
    )
    header: Annotated[str, Field(pattern=_HEADER, max_length=128)] = Field(
        default="Authorization", description="Header that carries it."
    )
    format: Annotated[str, Field(max_length=1024)] = Field(
        default="Bearer {secret}", description="The header's value, `{secret}` being the secret."
    )
