"""Which actions need a person's word."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from stockade.model.hosts import Host
from stockade.model.limits import Duration
from stockade.model.wording import did_you_mean, quote

KINDS = ("tool", "http", "connect", "model")
_WITH_HOST = ("http", "connect")


def _action(text: str) -> str:
    kind, colon, rest = text.partition(":")
    if not colon or kind not in KINDS:
        raise ValueError(
            f"{quote(text)} is not an action; begin it with {', '.join(f'{k}:' for k in KINDS)}"
            f" such as tool:make_patch or http:POST{did_you_mean(kind, KINDS)}"
        )
    if not rest or not rest.isprintable() or " " in rest:
        raise ValueError(f"{quote(text)} must name what is asked about after '{kind}:', or '*'")
    return text


class ApprovalRule(BaseModel):
    """Actions that are asked about, though something else in the profile allows them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Annotated[str, Field(max_length=256), AfterValidator(_action)] = Field(
        description="Such as `tool:make_patch`, `http:POST` or `model:*`; `*` is any."
    )
    host: Host | None = Field(
        default=None, description="Only requests to this host; written as under `network`."
    )
    expires: Duration = Field(default=1800.0, description="Time after which silence is a no.")

    @model_validator(mode="after")
    def _host_applies(self) -> Self:
        kind = self.action.partition(":")[0]
        if self.host is not None and kind not in _WITH_HOST:
            raise PydanticCustomError(
                "no_host", "a {kind} has no host; remove 'host'", {"kind": kind, "index": "host"}
            )
        return self
