"""Which tools an agent gets, and with what arguments.

``BUILT_IN`` is the list of Stockade's own; what they do is in ``stockade.tools``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from stockade.model.limits import Duration, Size
from stockade.model.network import Glob

MAX_TOOLS = 256
SEPARATOR: Final = "__"
"""Between the name of a tool server and that of its tool."""

_Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]


class ArgumentRule(BaseModel):
    """What one argument of a tool may be. All that is said must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str | None = Field(
        default=None, description="string, integer, number, boolean, array or object."
    )
    enum: Annotated[tuple[str | int | float | bool, ...], Field(max_length=256)] | None = Field(
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
    required: bool = Field(default=False, description="It must be given.")


class ToolGrant(BaseModel):
    """What one tool may be called with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: Annotated[tuple[Glob, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="Globs of the paths in the machine that it may touch; needed by tools that"
        " take a path.",
    )
    commands: Annotated[tuple[Glob, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="For run_command: the commands, word by word; a word may be a glob, and a"
        " last `**` stands for any further words.",
    )
    arguments: Annotated[dict[str, ArgumentRule], Field(max_length=64)] = Field(
        default={}, description="Rules for single arguments; unnamed ones are free."
    )
    timeout: Duration | None = Field(default=None, description="Time that one call may take.")
    output: Size | None = Field(default=None, description="Bytes that one call may answer with.")


class ToolServer(BaseModel):
    """A third party's MCP server, which runs inside the wall."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="Program and arguments; it speaks MCP on its standard streams."
    )
    url: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="Or: where it is served (streamable HTTP), seen from inside."
    )
    env: dict[str, str] = Field(default={}, description="Variables of its environment.")
    tools: Annotated[dict[str, ToolGrant], Field(max_length=MAX_TOOLS)] = Field(
        description="Its tools that the agent gets; the others do not exist."
    )
    timeout: Duration | None = Field(default=None, description="Time that one call may take.")


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
