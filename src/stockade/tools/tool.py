"""A tool of Stockade's own: how it is described, what it may take, and what it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from stockade.model.tools import ToolGrant
    from stockade.tools.base import Description, Machine, Progress, Result

WORKSPACE = "/workspace"
"""The folder in the machine where work is done; relative paths start here."""

PATH: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 4096,
    "pattern": "^[^\\x00]*$",
    "description": f"Path in the machine; relative ones start at {WORKSPACE}.",
}
"""The schema of an argument that is a path."""


@dataclass(frozen=True)
class Call:
    """One call that the gate has allowed.

    ``paths`` is where the arguments that are paths lead; only these may be opened. ``timeout`` is
    in seconds and ends at ``deadline`` (``anyio.current_time``); ``output`` is in bytes, and holds
    for the text and for the data of the result each.
    """

    machine: Machine
    arguments: Mapping[str, Any]
    paths: Mapping[str, str]
    grant: ToolGrant
    timeout: float
    deadline: float
    output: int
    progress: Progress | None = None


@dataclass(frozen=True)
class Tool:
    """What is served under one name. ``timeout`` and ``output`` are for grants that say nothing."""

    description: Description
    run: Callable[[Call], Awaitable[Result]]
    timeout: float = 60.0
    output: int = 64 * 1024
    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Call it by the name in its description."""
        object.__setattr__(self, "name", self.description.name)


def schema(
    properties: Mapping[str, Any], *, required: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """The schema of an object of just these properties, which all are required or those named."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }
