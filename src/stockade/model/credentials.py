"""Secrets that requests are given on their way out, and that no agent ever sees."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stockade.model.wording import did_you_mean, quote

PLACEHOLDER = "{secret}"
SOURCES = ("env",)
"""Where secrets may be kept so far; integrations add more."""

_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # RFC 9110, section 5.6.2: token


def _source(text: str) -> str:
    kind, colon, name = text.partition(":")
    if not colon or not name or not text.isprintable():
        # Not quoted: it may well be the secret itself.
        raise ValueError(
            "must say where the secret is kept, such as env:GITHUB_TOKEN, never the secret itself"
        )
    if kind not in SOURCES:
        raise ValueError(
            f"secrets are not read from {quote(kind)}; write env:NAME{did_you_mean(kind, SOURCES)}"
        )
    if not (name.isascii() and name.isidentifier()):
        raise ValueError("what follows 'env:' must be the name of a variable")
    return text


def _format(text: str) -> str:
    if text.count(PLACEHOLDER) != 1:
        raise ValueError(f"must contain {PLACEHOLDER} once, such as 'Bearer {PLACEHOLDER}'")
    if not text.isprintable() or not text.isascii():
        raise ValueError("must contain printable ASCII characters only")
    return text


class Credential(BaseModel):
    """Where a secret is kept on the host, and how a request carries it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: Annotated[str, Field(max_length=4096), AfterValidator(_source)] = Field(
        alias="from", description="Such as env:GITHUB_TOKEN; the secret itself is never written."
    )
    header: Annotated[str, Field(pattern=_HEADER, max_length=128)] = Field(
        default="Authorization", description="Header that carries it."
    )
    format: Annotated[str, Field(max_length=1024), AfterValidator(_format)] = Field(
        default="Bearer {secret}", description="The header's value, `{secret}` being the secret."
    )
