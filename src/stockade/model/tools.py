"""Which tools an agent gets, and with what arguments.

``BUILT_IN`` is the list of Stockade's own; what they do is in ``stockade.tools``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from stockade.model.globs import CommandGlob, Glob, PathGlob
from stockade.model.limits import Duration, Size
from stockade.model.variables import VariableName, VariableText
from stockade.model.wording import quote

MAX_TOOLS = 256
SEPARATOR: Final = "__"
"""Between the name of a tool server and that of its tool."""

_URL = re.compile(r"https?://[^/@?#\s]+(/[^?#\s]*)?")


class ArgumentType(StrEnum):
    """The types of JSON, without null."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float):  # bool is an int
        raise ValueError(f"must be text, a number, true or false, not {quote(value)}")  # noqa: TRY004 - pydantic reports ValueError only
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {quote(value)}")  # noqa: TRY004 - as above
    return value


def _server_url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError(
            f"{quote(text)} is not the address of an MCP server, such as http://127.0.0.1:8000/mcp"
        )
    return text


def _word(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError(f"{quote(text)} cannot be a word of a command")
    return text


_Scalar = Annotated[str | int | float | bool, BeforeValidator(_scalar)]
_Number = Annotated[int | float, BeforeValidator(_number)]


_TYPES_OF = {
    "minimum": (ArgumentType.INTEGER, ArgumentType.NUMBER),
    "maximum": (ArgumentType.INTEGER, ArgumentType.NUMBER),
    "max_length": (ArgumentType.STRING, ArgumentType.ARRAY),
    "globs": (ArgumentType.STRING,),
}


class ArgumentRule(BaseModel):
    """What one argument of a tool may be. All that is said must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ArgumentType | None = Field(
        default=None, description="string, integer, number, boolean, array or object."
    )
    enum: Annotated[tuple[_Scalar, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="The values that it may have."
    )
    minimum: _Number | None = Field(default=None, description="The least number.")
    maximum: _Number | None = Field(default=None, description="The greatest number.")
    max_length: Annotated[int, Field(strict=True, ge=0, le=64 * 1024)] | None = Field(
        default=None, description="Characters of text, or entries of a list, at most."
    )
    globs: Annotated[tuple[Glob, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="Text must match one of these."
    )
    required: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="It must be given."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise PydanticCustomError(
                "no_number",
                "no number is at least {minimum} and at most {maximum}",
                {"minimum": self.minimum, "maximum": self.maximum, "index": "maximum"},
            )
        for key, types in _TYPES_OF.items():
            if getattr(self, key) is not None and self.type not in (None, *types):
                raise PydanticCustomError(
                    "not_of_type",
                    "'{key}' cannot hold for the type {type}",
                    {"key": key, "type": str(self.type), "index": key},
                )
        return self


class ToolGrant(BaseModel):
    """What one tool may be called with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: Annotated[tuple[PathGlob, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="Globs of the paths in the machine that it may touch; needed by tools that"
        " take a path.",
    )
    commands: Annotated[tuple[CommandGlob, ...], Field(min_length=1, max_length=256)] | None = (
        Field(
            default=None,
            description="For run_command: the commands, word by word; a word may be a glob, and a"
            " last `**` stands for any further words.",
        )
    )
    arguments: Annotated[dict[str, ArgumentRule], Field(max_length=64)] = Field(
        default={}, description="Rules for single arguments; unnamed ones are free."
    )
    timeout: Duration | None = Field(default=None, description="Time that one call may take.")
    output: Size | None = Field(default=None, description="Bytes that one call may answer with.")


_ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]


class ToolServer(BaseModel):
    """A third party's MCP server, which runs inside the wall."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: (
        Annotated[
            tuple[Annotated[str, AfterValidator(_word)], ...], Field(min_length=1, max_length=256)
        ]
        | None
    ) = Field(
        default=None, description="Program and arguments; it speaks MCP on its standard streams."
    )
    url: Annotated[str, Field(max_length=4096), AfterValidator(_server_url)] | None = Field(
        default=None, description="Or: where it is served (streamable HTTP), seen from inside."
    )
    env: Annotated[dict[VariableName, VariableText], Field(max_length=256)] = Field(
        default={}, description="Variables of its environment."
    )
    tools: Annotated[dict[_ToolName, ToolGrant], Field(max_length=MAX_TOOLS)] = Field(
        description="Its tools that the agent gets; the others do not exist."
    )
    timeout: Duration | None = Field(default=None, description="Time that one call may take.")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise PydanticCustomError(
                "one_way",
                "a server has either 'command', to start it, or 'url', where it is served",
            )
        if self.url is not None and self.env:
            raise PydanticCustomError(
                "no_env", "'env' is for a server that 'command' starts; remove it", {"index": "env"}
            )
        return self


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A tool of Stockade's own, as the policy needs to know it.

    ``paths`` are the arguments that are paths in the machine; ``commands`` says
    that it takes a command.
    """

    paths: tuple[str, ...] = ()
    commands: bool = False


BUILT_IN: Final = {
    "read_file": BuiltIn(paths=("path",)),
    "write_file": BuiltIn(paths=("path",)),
    "edit_file": BuiltIn(paths=("path",)),
    "list_files": BuiltIn(paths=("path",)),
    "search_files": BuiltIn(paths=("path",)),
    "run_tests": BuiltIn(),
    "run_command": BuiltIn(commands=True),
    "git_status": BuiltIn(),
    "git_diff": BuiltIn(),
    "git_log": BuiltIn(),
    "make_patch": BuiltIn(),
}
