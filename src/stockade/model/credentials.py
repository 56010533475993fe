"""Secrets that requests are given on their way out, and that no agent ever sees."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from stockade.model.wording import did_you_mean, quote

PLACEHOLDER = "{secret}"
SOURCES = ("env", "file", "systemd", "vault")
"""Where secrets may be kept: the words before the colon of ``from``."""

_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # RFC 9110, section 5.6.2: token
# Fields that say where a message ends, where it goes and how; a secret has no place there.
# fmt: off
_FRAMING = frozenset({
    "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "keep-alive", "proxy-authorization", "proxy-connection", "range", "te", "trailer",
    "transfer-encoding", "upgrade",
})
# fmt: on
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNIT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_VAULT = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.@+ -]+)+#[A-Za-z0-9_.-]+")


class Place(StrEnum):
    """The part of a request that carries a secret."""

    HEADER = "header"
    QUERY = "query"
    BASIC = "basic"
    BODY = "body"


def _source(text: str) -> str:
    kind, colon, name = text.partition(":")
    if not colon or not name or not text.isprintable():
        # Not quoted: it may well be the secret itself.
        raise ValueError(
            "must say where the secret is kept, such as env:GITHUB_TOKEN, never the secret itself"
        )
    if kind not in SOURCES:
        raise ValueError(
            f"secrets are not read from {quote(kind)}; write one of {', '.join(SOURCES)} and a"
            f" colon{did_you_mean(kind, SOURCES)}"
        )
    _CHECKS[kind](name)
    return text


def _env(name: str) -> None:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("what follows 'env:' must be the name of a variable")


def _file(name: str) -> None:
    if not PurePosixPath(name).is_absolute():
        raise ValueError(f"{quote(name)} is not absolute; write file:/ and the whole path")


def _systemd(name: str) -> None:
    if not _UNIT_NAME.fullmatch(name) or name in (".", ".."):
        raise ValueError("what follows 'systemd:' must be the name of a credential of the service")


def _vault(name: str) -> None:
    parts = name.partition("#")[0].split("/")
    if not _VAULT.fullmatch(name) or any(part in (".", "..") for part in parts):
        raise ValueError(
            "what follows 'vault:' must be MOUNT/PATH#FIELD, such as vault:secret/ci/github#token"
        )


_CHECKS = {"env": _env, "file": _file, "systemd": _systemd, "vault": _vault}


def _format(text: str) -> str:
    if text.count(PLACEHOLDER) != 1:
        raise ValueError(f"must contain {PLACEHOLDER} once, such as 'Bearer {PLACEHOLDER}'")
    if not text.isprintable() or not text.isascii():
        raise ValueError("must contain printable ASCII characters only")
    return text


def _header(text: str) -> str:
    if text.lower() in _FRAMING:
        raise ValueError(f"{quote(text)} says how a request is sent and cannot carry a secret")
    return text


def _plain(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise ValueError("must contain printable ASCII characters only")
    return text


def _user(text: str) -> str:
    if ":" in text:  # RFC 7617, section 2: the first colon ends the name
        raise ValueError("must not contain ':'")
    return _plain(text)


_Short = Annotated[str, Field(min_length=1, max_length=128)]


class Credential(BaseModel):
    """Where a secret is kept on the host, and how a request carries it.

    It is carried in one place: a header, unless ``query``, ``basic`` or ``body`` names another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: Annotated[str, Field(max_length=4096), AfterValidator(_source)] = Field(
        alias="from",
        description="env:NAME, file:PATH, systemd:NAME or vault:MOUNT/PATH#FIELD; never a secret.",
    )
    header: Annotated[str, Field(pattern=_HEADER, max_length=128), AfterValidator(_header)] = Field(
        default="Authorization", description="Header that carries it."
    )
    format: Annotated[str, Field(max_length=1024), AfterValidator(_format)] = Field(
        default="Bearer {secret}", description="The header's value, `{secret}` being the secret."
    )
    query: Annotated[_Short, AfterValidator(_plain)] | None = Field(
        default=None, description="Parameter of the URL that carries it, in place of a header."
    )
    basic: Annotated[_Short, AfterValidator(_user)] | None = Field(
        default=None, description="User name whose password it is, for basic authentication."
    )
    body: Annotated[_Short, AfterValidator(_plain)] | None = Field(
        default=None,
        description="Field of a JSON or form body that gets it where the agent wrote the"
        " placeholder `{{stockade:NAME}}`.",
    )

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        places = [key for key in ("query", "basic", "body") if getattr(self, key) is not None]
        if places and (own := {"header", "format"} & self.model_fields_set):
            places.append(min(own))
        if len(places) > 1:
            raise PydanticCustomError(
                "two_places",
                "a secret is carried in one place, so '{first}' and '{key}' cannot both be there;"
                " remove one",
                {"first": places[0], "key": places[1], "index": places[1]},
            )
        return self

    @property
    def place(self) -> Place:
        """Where the secret goes."""
        for place in (Place.QUERY, Place.BASIC, Place.BODY):
            if getattr(self, place.value) is not None:
                return place
        return Place.HEADER
