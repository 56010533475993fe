"""What an agent asks for: the one shape in which every door puts it to the gate.

Every value may come from inside the wall and is hostile. The bounds here are those of what can be
recorded at all; whether it is allowed is for the policy to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NAME = 256
MAX_TEXT = 64 * 1024
MAX_ARGUMENTS = 64
MAX_WORDS = 16 * 1024

_Name = Annotated[str, Field(max_length=MAX_NAME)]
_Text = Annotated[str, Field(max_length=MAX_TEXT)]
_Port = Annotated[int, Field(ge=0, le=65_535)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(_Request):
    """A call of a tool.

    ``paths`` tells for each argument that is a path where it leads in the machine once all links
    are followed; it is the machine's word, obtained before the gate is asked. ``tool`` is the name
    of a built-in one or ``SERVER__TOOL``.
    """

    kind: Literal["tool"] = "tool"
    tool: _Name
    arguments: Annotated[dict[_Name, JsonValue], Field(max_length=MAX_ARGUMENTS)] = {}
    paths: Annotated[dict[_Name, _Text], Field(max_length=MAX_ARGUMENTS)] = {}


class HttpRequest(_Request):
    """One HTTP request; ``path`` is the target's path as sent, without the query."""

    kind: Literal["http"] = "http"
    method: _Name
    scheme: Literal["http", "https"] = "https"
    host: _Text
    port: _Port
    path: _Text = "/"
    query: _Text = ""


class Connection(_Request):
    """A connection whose content is not looked into."""

    kind: Literal["connect"] = "connect"
    protocol: Literal["tcp", "ssh"] = "tcp"
    host: _Text
    port: _Port


class Lookup(_Request):
    """A question for the addresses of a name."""

    kind: Literal["lookup"] = "lookup"
    host: _Text


class ModelCall(_Request):
    """A call of a language model."""

    kind: Literal["model"] = "model"
    provider: _Name
    model: _Name


class Execution(_Request):
    """A program that the person who runs the session starts in the machine."""

    kind: Literal["run"] = "run"
    argv: Annotated[tuple[_Text, ...], Field(min_length=1, max_length=MAX_WORDS)]

    @classmethod
    def of(cls, argv: Sequence[str]) -> Self:
        """Name a command that may hold any bytes, as ``os.fsdecode`` gives them.

        Those that are no text are escaped; ``UsageError`` if it is more than is recorded.
        """
        words = [word.encode(errors="surrogateescape") for word in argv]
        if len(words) > MAX_WORDS or max(map(len, words), default=0) > MAX_TEXT:
            raise UsageError(
                f"the command has more than {MAX_WORDS} words, or one of more than"
                f" {MAX_TEXT // 1024}KiB, which is more than the record takes",
                hint="Give long lists and texts by standard input or in a file.",
            )
        return cls(argv=tuple(word.decode(errors="backslashreplace") for word in words))


Action = ToolCall | HttpRequest | Connection | Lookup | ModelCall | Execution

ACTION: TypeAdapter[Action] = TypeAdapter(Annotated[Action, Field(discriminator="kind")])
"""Reads an action from a document, as a journal keeps it; pydantic's errors if it is none."""


def summarize(action: Action) -> str:
    """Name an action in a few words, for lists and refusals; not yet fit for a terminal."""
    match action:
        case ToolCall():
            return f"tool:{action.tool}"
        case HttpRequest():
            return (
                f"http:{action.method} {action.scheme}://{action.host}:{action.port}{action.path}"
            )
        case Connection():
            return f"connect:{action.protocol} {action.host}:{action.port}"
        case Lookup():
            return f"lookup:{action.host}"
        case ModelCall():
            return f"model:{action.provider}/{action.model}"
        case Execution():
            return f"run:{action.argv[0]}"
