"""What a tool is, and what it works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stockade.model.action import Action
from stockade.model.verdict import Verdict

if TYPE_CHECKING:
    from stockade.model.outcome import ExecResult

Submit = Callable[[Action], Awaitable[Verdict]]
"""The gate, as tools see it."""

Progress = Callable[[float, str], Awaitable[None]]
"""Told now and then, with seconds since the call's start and a few words."""


class Machine(Protocol):
    """The session's machine, as far as tools use it; ``stockade.sandbox.Sandbox`` is one."""

    async def exec(
        self,
        argv: Sequence[str | bytes],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> ExecResult:
        """Run a program to its end."""
        ...


@dataclass(frozen=True)
class Result:
    """What a call gives back: text for the agent, and the same as data where there is a schema.

    ``failed`` says that the tool did not do its work; the text says why.
    """

    text: str
    data: Mapping[str, Any] | None = None
    failed: bool = False


@dataclass(frozen=True)
class Description:
    """A tool as a client is shown it; the schemas are JSON Schema 2020-12."""

    name: str
    title: str
    text: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any] | None = None
    hints: Mapping[str, bool] = field(default_factory=dict)
    """MCP's annotations, such as ``readOnlyHint``."""


class Toolbox(Protocol):
    """Granted tools, behind the gate."""

    async def descriptions(self) -> list[Description]:
        """Those that are granted, in the order of their names."""
        ...

    async def call(
        self, name: str, arguments: Mapping[str, Any], progress: Progress | None = None
    ) -> Result:
        """Call one. Refusals and failures are results too; ``KeyError`` if it is not granted."""
        ...
