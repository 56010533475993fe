"""A session whose agent stays outside the wall, and whose tools work inside it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from stockade.model.errors import MachineError, StockadeError
from stockade.oversight import Oversight, journal_of
from stockade.sandbox import registry
from stockade.sandbox.converse import first_cause
from stockade.sandbox.sandbox import Sandbox
from stockade.tools.mcp.gateway import Gateway
from stockade.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from stockade.gate import Check
    from stockade.model.profile import Profile
    from stockade.sandbox.images.progress import Progress
    from stockade.tools.base import Description, Result
    from stockade.tools.base import Progress as CallProgress
    from stockade.tools.mcp.pins import Pins


@dataclass(frozen=True)
class ToolSession:
    """A session that is open. ``unaccepted`` are granted tools that a person has yet to accept."""

    box: Sandbox
    toolbox: LateToolbox
    journal_path: Path
    unaccepted: list[str]


@asynccontextmanager
async def open_session(
    profile: Profile,
    *,
    cedar: Mapping[str, str] | None = None,
    pins: Pins | None = None,
    enforce: bool = True,
    notice: Callable[[str], None] = lambda _: None,
    progress: Progress | None = None,
) -> AsyncIterator[ToolSession]:
    """Give a session at once; its machine starts meanwhile, and calls wait for it.

    ``cedar`` are the Cedar files beside the profile (name to text), ``pins`` the accepted
    definitions of third parties' tools. ``notice`` is told, in one line, what a person should know.
    """
    session = registry.new_id()
    screening: list[Check] = []
    oversight = Oversight(session, profile, cedar=cedar, enforce=enforce, screening=screening)
    try:
        with oversight:
            await oversight.open()
            async with oversight.network() as trust:
                box = Sandbox(
                    profile,
                    id=session,
                    progress=progress,
                    command=["mcp"],
                    network=oversight.serve,
                    trust=trust,
                )
                gateway = Gateway(profile.mcp, box, pins or {}, notice=notice)
                screening.append(gateway)
                gateway.bind(Toolbox(box, profile, oversight.submit), oversight.submit)
                late = LateToolbox(gateway, box, notice)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(late.hold)
                    async with gateway:
                        yield ToolSession(box, late, journal_of(session), gateway.waiting())
                    tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_cause(group) from None


class LateToolbox:
    """A toolbox whose tools are known at once, and work once the machine runs."""

    def __init__(self, tools: Gateway, box: Sandbox, notice: Callable[[str], None]) -> None:
        self._tools, self._box, self._notice = tools, box, notice
        self._started = anyio.Event()
        self._failure: StockadeError | None = None

    async def hold(self) -> None:
        """Keep the machine running until cancelled."""
        try:
            async with self._box:
                self._started.set()
                await anyio.sleep_forever()
        except StockadeError as error:
            self._failure = error
            self._notice(f"the machine did not start: {error}. {error.hint}".strip())
            self._started.set()

    async def descriptions(self) -> list[Description]:
        """The granted tools."""
        return await self._tools.descriptions()

    async def call(
        self, name: str, arguments: Mapping[str, Any], progress: CallProgress | None = None
    ) -> Result:
        """Call one, once there is a machine; ``MachineError`` if there will be none."""
        if name not in {known.name for known in await self.descriptions()} and (
            name not in self._tools.waiting()
        ):
            raise KeyError(name)
        await self._started.wait()
        if self._failure:
            raise MachineError(
                f"the machine did not start: {self._failure}", hint=self._failure.hint
            )
        return await self._tools.call(name, arguments, progress)
