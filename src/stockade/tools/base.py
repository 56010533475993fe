"""What a tool is, and what it works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stockade.model.action import Action
from stockade.model.verdict import Verdict

if TYPE_CHECKING:
    from stockade.model.outcome import ExecResult, Outcome

Submit = Callable[[Action], Awaitable[Verdict]]
"""The gate, as tools see it."""

Progress = Callable[[float, str], Awaitable[None]]
"""Told now and then, with seconds since the call's start and a few words."""


class Input(Protocol):
    """A program's standard input."""

    async def send(self, data: bytes) -> None:
        """Wait until all is on its way; ``BrokenPipeError`` if nobody reads any more."""
        ...

    def end(self) -> None:
        """Say that this was all."""
        ...


class Process(Protocol):
    """A program that runs in the machine; see ``stockade.sandbox.process.Process``."""

    @property
    def stdin(self) -> Input:
        """Its standard input."""
        ...

    async def read_stdout(self) -> bytes:
        """The next bytes of standard output, or none after the last."""
        ...

    async def read_stderr(self) -> bytes:
        """The next bytes of standard error, or none after the last."""
        ...

    async def wait(self) -> Outcome:
        """Wait for its end; its output must be read meanwhile."""
        ...

    def stop(self, limit: None) -> None:
        """End it, and all that it has started."""
        ...


class File(Protocol):
    """An entry of a folder: its name, what kind of file it is, and its size in bytes."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102


class Files(Protocol):
    """The machine's files; see ``stockade.sandbox.files.Files``."""

    async def resolve(self, path: str) -> str:
        """Where ``path`` leads."""
        ...

    async def read_exact(self, path: str, *, limit: int) -> bytes:
        """The content of a file; as all of these, no link is followed."""
        ...

    async def write_exact(self, path: str, content: bytes) -> None:
        """Replace a file, whole or not at all."""
        ...

    async def list_exact(self, path: str) -> Sequence[File]:
        """The entries of a folder."""
        ...

    async def search(
        self,
        folder: str,
        question: Mapping[str, Any],
        take: Callable[[dict[str, Any]], None],
        *,
        limit: int,
    ) -> None:
        """Give each line of the answer to ``take``."""
        ...


class Machine(Protocol):
    """The session's machine, as far as tools use it; ``stockade.sandbox.Sandbox`` is one."""

    @property
    def files(self) -> Files:
        """Its files, as its user may read and write them."""
        ...

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

    async def start(
        self,
        argv: Sequence[str | bytes],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Process:
        """Start a program; its streams are the caller's to serve."""
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
