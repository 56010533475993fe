"""What one agent may do, as a value.

A section that no part of this version serves grants nothing.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from stockade.model.approvals import ApprovalRule
from stockade.model.conflicts import conflicts
from stockade.model.credentials import Credential
from stockade.model.errors import UsageError
from stockade.model.limits import Limits
from stockade.model.network import NetworkGrant
from stockade.model.spending import Budget, ModelGrant
from stockade.model.tools import MAX_TOOLS, ToolGrant, ToolServer
from stockade.model.variables import VariableName, VariableText
from stockade.model.wording import did_you_mean, explain, place, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FILES = 16
MAX_READY = 256
MAX_RULES = 4096
MAX_VARIABLES = 256
MAX_ENVIRONMENT = 128 * 1024
_PATH_BYTES = 4096
_NAME_BYTES = 255
_RESERVED = ("/proc", "/sys", "/dev")


class WallKind(StrEnum):
    """What separates an agent from its host, strongest first."""

    MICROVM = "microvm"
    GVISOR = "gvisor"
    CONTAINER = "container"


class Access(StrEnum):
    """What may be done with a copy of a host folder."""

    READ = "read"
    OVERLAY = "overlay"


def _relative_to(info: ValidationInfo, path: str) -> Path:
    base = (info.context or {}).get("base")
    return Path(path) if base is None else Path(base, path)


def _host_path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError(f"must be the path of a file or folder, not {quote(value)}")  # noqa: TRY004 - pydantic reports ValueError only
    text = str(value)
    try:
        # As the system stores it: Python holds the bytes that are not UTF-8 as surrogates.
        encoded = text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\0" in encoded or len(encoded) > _PATH_BYTES:
        raise ValueError(f"{quote(text)} is not the path of a file or folder")
    if text.startswith("~"):
        # Only a shell knows who "~" is; here it would quietly name a folder called "~".
        raise ValueError(f"'~' is not expanded in {quote(text)}; write the whole path")
    return _relative_to(info, text)


HostPath = Annotated[Path, BeforeValidator(_host_path)]
"""A path on the host; one that is relative is taken from the profile's folder."""


def _guest_path(text: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not text.startswith("/"):
        raise ValueError(f"{quote(text)} is not absolute; begin it with '/'")
    if ".." in parts:
        raise ValueError(f"{quote(text)} must not contain '..'")
    if not parts:
        raise ValueError("'/' is the machine's own; choose a folder such as /workspace")
    if any(not character.isprintable() for character in text):
        raise ValueError(f"{quote(text)} must contain printable characters only")
    encoded = [part.encode() for part in parts]
    if max(map(len, encoded)) > _NAME_BYTES or len(text.encode()) > _PATH_BYTES:
        raise ValueError(f"{quote(text)} is too long for a path")
    path = "/" + "/".join(parts)
    if f"/{parts[0]}" in _RESERVED:
        raise ValueError(f"{quote(path)} is the machine's own; choose a folder such as /workspace")
    return path


class FileGrant(BaseModel):
    """A copy of a host file or folder, placed in the machine. The host's own is never written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostPath = Field(
        description="File or folder on the host; relative paths start at the profile's folder."
    )
    guest: Annotated[str, AfterValidator(_guest_path)] = Field(
        description="Absolute path in the machine; not /, /proc, /sys or /dev, nor below those."
    )
    access: Access = Field(
        default=Access.READ,
        description="read: a read-only copy; overlay: a copy that may change and then vanishes.",
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST:GUEST[:read|overlay]``.

        It is read from the right, so the host path may contain colons and the guest path may not.
        """
        host, colon, last = text.rpartition(":")
        access = Access.READ.value
        if colon and not last.startswith("/") and ":" in host:
            access = last
            host, colon, last = host.rpartition(":")
        if not host or not last or last in tuple(Access):
            raise UsageError(
                f"{quote(text)} is not a file grant",
                hint="Write HOST:GUEST or HOST:GUEST:overlay, such as ./shop:/workspace",
            )
        if access not in tuple(Access):
            raise UsageError(
                f"{quote(text)}: access must be 'read' or 'overlay', not {quote(access)}"
                f"{did_you_mean(access, tuple(Access))}"
            )
        try:
            return cls.model_validate({"host": host, "guest": last, "access": access})
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"file grant {quote(text)}: {explain(first)}") from None


class Wall(BaseModel):
    """How strong the isolation must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum: WallKind = Field(
        default=WallKind.MICROVM,
        description="The weakest wall to accept; a session never falls below it.",
    )


def _ready(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_READY:
        raise ValueError(f"must be a whole number from 0 to {MAX_READY}, not {quote(value)}")
    return value


class PoolSize(BaseModel):
    """How many machines a pool for this profile keeps waiting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ready: Annotated[int, BeforeValidator(_ready)] = Field(
        default=0, description="Machines that wait, started, for the next session."
    )


def _outer_first(files: tuple[FileGrant, ...]) -> tuple[FileGrant, ...]:
    """Sort grants so that each comes after those it is nested in, in the order to mount them."""
    seen: set[str] = set()
    for index, grant in enumerate(files):
        if grant.guest in seen:
            # The index lets a reader of documents point at the entry instead of at the list.
            raise PydanticCustomError(
                "duplicate_guest",
                "guest path {path} is used twice",
                {"path": quote(grant.guest), "index": index},
            )
        seen.add(grant.guest)
    return tuple(sorted(files, key=lambda grant: grant.guest.split("/")))


def _environment(env: dict[str, str]) -> dict[str, str]:
    if len(env) > MAX_VARIABLES:
        raise ValueError(f"must have at most {MAX_VARIABLES} variables, not {len(env)}")
    if sum(len(name) + len(value.encode()) + 2 for name, value in env.items()) > MAX_ENVIRONMENT:
        raise ValueError(f"must have at most {MAX_ENVIRONMENT // 1024}KiB all together")
    return env


def _image(value: str, info: ValidationInfo) -> str:
    if not value[:1].isalnum() or not value.isprintable():
        # A first letter or digit also means that no program takes it for an option.
        raise ValueError(
            f"{quote(value)} is not an image; write a name, dir:FOLDER or oci:REFERENCE"
        )
    source, _, path = value.partition(":")
    if source != "dir":
        return value
    if not path or path.startswith("~"):
        raise ValueError(f"{quote(value)} names no folder; write dir: and the whole path")
    return f"dir:{_relative_to(info, path)}"


def _version(value: object) -> object:
    # Python holds true and 1.0 for equal to 1, and so would Literal.
    if type(value) is not int or value != 1:
        raise ValueError(f"must be 1, the only version there is so far, not {quote(value)}")
    return value


_Key = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_-]{0,62}$")]


class Profile(BaseModel):
    """What one agent may do. What it does not name, it does not allow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[Literal[1], BeforeValidator(_version)] = Field(
        default=1, description="Version of this format."
    )
    name: str = Field(
        default="default",
        pattern="^[a-z0-9][a-z0-9-]{0,62}$",
        description="What records and lists call it.",
    )
    image: Annotated[str, AfterValidator(_image)] = Field(
        default="debian-python",
        max_length=_PATH_BYTES,
        description="Image to boot: the name of one, dir:FOLDER or oci:REFERENCE.",
    )
    wall: Wall = Field(default=Wall(), description="The isolation that is required.")
    limits: Limits = Field(default=Limits(), description="The most it may use.")
    pool: PoolSize = Field(
        default=PoolSize(), description="Machines kept waiting by whoever holds a pool."
    )
    files: Annotated[tuple[FileGrant, ...], AfterValidator(_outer_first)] = Field(
        default=(),
        max_length=MAX_FILES,
        description="Host files to copy in; one may be nested in another, two never share a path.",
    )
    env: Annotated[dict[VariableName, VariableText], AfterValidator(_environment)] = Field(
        default={}, description="Environment variables; nothing else of the host's is passed on."
    )
    network: Annotated[tuple[NetworkGrant, ...], Field(max_length=MAX_RULES)] = Field(
        default=(), description="What may be reached; absent, nothing."
    )
    credentials: Annotated[dict[_Key, Credential], Field(max_length=64)] = Field(
        default={}, description="Secrets that requests are given on their way out."
    )
    models: Annotated[tuple[ModelGrant, ...], Field(max_length=256)] = Field(
        default=(), description="Language models that may be called."
    )
    budget: Budget = Field(default=Budget(), description="The most that a session may spend.")
    tools: Annotated[dict[_Key, ToolGrant], Field(max_length=MAX_TOOLS)] = Field(
        default={}, description="Tools that the agent gets, by name."
    )
    mcp: Annotated[dict[_Key, ToolServer], Field(max_length=16)] = Field(
        default={}, description="Third parties' MCP servers, run inside the wall, by name."
    )
    approvals: Annotated[tuple[ApprovalRule, ...], Field(max_length=256)] = Field(
        default=(), description="Actions that a person is asked about first."
    )
    policies: Annotated[tuple[HostPath, ...], Field(max_length=16)] = Field(
        default=(), description="Cedar files whose rules hold beside those of this profile."
    )

    @model_validator(mode="after")
    def _without_conflicts(self) -> Self:
        # What extends another profile makes sense only together with it.
        if getattr(self, "extends", None) is None and (found := list(conflicts(self))):
            # One error for all of them; a reader of documents takes them apart.
            raise PydanticCustomError(
                "conflicts", "{message}", {"message": str(found[0]), "conflicts": found}
            )
        return self

    def amend(
        self,
        *,
        image: str | None = None,
        files: Sequence[FileGrant] = (),
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Self:
        """Give a copy with the options of a command line applied: added to, or put in place of."""
        changes: dict[str, object] = {
            "image": self.image if image is None else image,
            "files": (*self.files, *files),
            "env": {**self.env, **(env or {})},
            "limits": limits or self.limits,
        }
        try:
            return self.model_validate({**dict(self), **changes})
        except ValidationError as error:
            first = error.errors()[0]
            where = place(first["loc"])
            raise UsageError(f"{where}: {explain(first)}" if where else explain(first)) from None
