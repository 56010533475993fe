"""What may be reached over the network."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_METHODS = 32
MAX_PATHS = 256


class Protocol(StrEnum):
    """How a host is spoken to; the first two are looked into, request by request."""

    HTTPS = "https"
    HTTP = "http"
    TCP = "tcp"
    SSH = "ssh"


DEFAULT_PORTS = {Protocol.HTTPS: 443, Protocol.HTTP: 80, Protocol.SSH: 22}

Glob = Annotated[str, Field(min_length=1, max_length=4096)]
"""``*`` stands for any characters but ``/``, ``?`` for one of those, ``**`` for any segments."""


class NetworkGrant(BaseModel):
    """One host, and what may be asked of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="A name, `*.` and a name for all names below it, or an IP address."
    )
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] | None = Field(
        default=None, description="Absent: the protocol's own (443, 80, 22)."
    )
    protocol: Protocol = Field(
        default=Protocol.HTTPS, description="http and https are decided request by request."
    )
    methods: Annotated[tuple[str, ...], Field(max_length=MAX_METHODS)] = Field(
        default=("GET", "HEAD"), description="HTTP methods, in capitals."
    )
    paths: Annotated[tuple[Glob, ...], Field(max_length=MAX_PATHS)] = Field(
        default=("/**",), description="Globs of the paths of URLs."
    )
    credential: str | None = Field(
        default=None, description="Name of the credential that requests are given on their way."
    )
