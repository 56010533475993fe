"""Which models may be called, and what all of it may cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from stockade.model.wording import quote


def _printable(text: str) -> str:
    if not text.isprintable() or " " in text:
        raise ValueError(f"{quote(text)} must contain printable characters only, and no space")
    return text


def _provider(text: str) -> str:
    if "/" in text or "*" in text or text != text.lower():
        raise ValueError(f"{quote(text)} is not a provider; write one in small letters")
    return text


def _dollars(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_USD:
        raise ValueError(f"must be a number above 0, at most {MAX_USD}, not {quote(value)}")
    return value


MAX_USD = 1_000_000
_HOST = r"^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$"
_Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]


PROVIDER_HOSTS = {"anthropic": "api.anthropic.com", "openai": "api.openai.com"}
"""Where providers are reached that need no ``host``."""


class ModelGrant(BaseModel):
    """Models of one provider.

    ``anthropic`` speaks Anthropic's API, every other provider is taken to speak OpenAI's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Annotated[_Name, AfterValidator(_provider)] = Field(
        description="Such as anthropic or openai."
    )
    models: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=256)] = Field(
        description="Names; `*` stands for any characters."
    )
    credential: _Name | None = Field(
        default=None, description="Name of the credential that calls are given."
    )
    host: Annotated[str, Field(pattern=_HOST, max_length=255)] | None = Field(
        default=None,
        description="Host that serves the API; absent, the provider's own.",
    )

    @property
    def effective_host(self) -> str | None:
        """The host that is meant, or None where the provider has none that is known."""
        return self.host or PROVIDER_HOSTS.get(self.provider)


class Budget(BaseModel):
    """The most that one session may spend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Annotated[float, Field(gt=0, le=MAX_USD), BeforeValidator(_dollars)] | None = Field(
        default=None, description="US dollars."
    )
    tokens: Annotated[int, Field(strict=True, ge=1, le=10**12)] | None = Field(
        default=None, description="Tokens in and out together."
    )
    requests_per_minute: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = Field(
        default=None, description="Actions of all kinds in any minute."
    )
