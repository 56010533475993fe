"""What may be reached over the network."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from stockade.model.globs import Glob, UrlGlob
from stockade.model.hosts import Host
from stockade.model.wording import quote

__all__ = ["DEFAULT_PORTS", "Glob", "NetworkGrant", "Protocol"]

MAX_METHODS = 32
MAX_PATHS = 256


class Protocol(StrEnum):
    """How a host is spoken to; the first two are looked into, request by request."""

    HTTPS = "https"
    HTTP = "http"
    TCP = "tcp"
    SSH = "ssh"


DEFAULT_PORTS = {Protocol.HTTPS: 443, Protocol.HTTP: 80, Protocol.SSH: 22}

_OF_REQUESTS = ("methods", "paths", "credential")


def _method(text: str) -> str:
    if not text.isascii() or not text.replace("-", "").isalpha() or text != text.upper():
        example = text.upper() if text.isascii() and text.isalpha() else "GET"
        raise ValueError(f"{quote(text)} is not an HTTP method in capitals, such as {example}")
    return text


class NetworkGrant(BaseModel):
    """One host, and what may be asked of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Host = Field(
        description="A name, `*.` and a name for all names below it, or an IP address."
    )
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] | None = Field(
        default=None,
        description="Absent: the protocol's own (443, 80, 22); tcp has none of its own.",
    )
    protocol: Protocol = Field(
        default=Protocol.HTTPS, description="http and https are decided request by request."
    )
    methods: Annotated[
        tuple[Annotated[str, Field(max_length=64), AfterValidator(_method)], ...],
        Field(max_length=MAX_METHODS),
    ] = Field(
        default=("GET", "HEAD"),
        description="HTTP methods, in capitals; with none, the name can only be looked up.",
    )
    paths: Annotated[tuple[UrlGlob, ...], Field(min_length=1, max_length=MAX_PATHS)] = Field(
        default=("/**",), description="Globs of the paths of URLs."
    )
    credential: str | None = Field(
        default=None, description="Name of the credential that requests are given on their way."
    )

    @model_validator(mode="after")
    def _fits_protocol(self) -> Self:
        if self.protocol in (Protocol.HTTP, Protocol.HTTPS):
            return self
        for key in _OF_REQUESTS:
            if key in self.model_fields_set:
                raise PydanticCustomError(
                    "not_of_protocol",
                    "what is said over {protocol} is not looked into, so '{key}' cannot hold;"
                    " remove it, or use http or https",
                    {"protocol": self.protocol.value, "key": key, "index": key},
                )
        if self.protocol is Protocol.TCP and self.port is None:
            raise PydanticCustomError(
                "no_port", "tcp has no port of its own; write 'port', such as 5432"
            )
        return self

    @property
    def effective_port(self) -> int:
        """The port that is meant."""
        return DEFAULT_PORTS[self.protocol] if self.port is None else self.port
