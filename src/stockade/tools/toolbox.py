"""The tools that a profile grants, each call of which passes the gate first."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import ValidationError

from stockade.model.action import ToolCall
from stockade.model.errors import RequestError, StockadeError
from stockade.model.quantities import format_duration
from stockade.model.tools import BUILT_IN
from stockade.tools.arguments import ArgumentError, complete
from stockade.tools.base import Result
from stockade.tools.catalogue import TOOLS
from stockade.tools.text import one_line
from stockade.tools.tool import WORKSPACE, Call, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.model.profile import Profile
    from stockade.model.tools import ToolGrant
    from stockade.model.verdict import Verdict
    from stockade.tools.base import Description, Machine, Progress, Submit

_GRACE = 5.0
"""Seconds beyond its time in which a tool may still tell what it has got."""


class Toolbox:
    """Stockade's own tools for one machine, as far as ``profile`` grants them.

    ``submit`` is the gate. A call that ends early, by cancellation or for its time, ends what it
    has started in the machine.
    """

    def __init__(self, machine: Machine, profile: Profile, submit: Submit) -> None:
        self._machine, self._submit = machine, submit
        self._granted: dict[str, tuple[Tool, ToolGrant]] = {
            name: (TOOLS[name], grant)
            for name, grant in sorted(profile.tools.items())
            if name in TOOLS
        }

    async def descriptions(self) -> list[Description]:
        """Those that are granted, in the order of their names."""
        return [tool.description for tool, _ in self._granted.values()]

    async def call(
        self, name: str, arguments: Mapping[str, Any], progress: Progress | None = None
    ) -> Result:
        """Call one. Refusals and failures are results too; ``KeyError`` if it is not granted."""
        tool, grant = self._granted[name]
        timeout = grant.timeout or tool.timeout
        try:
            with anyio.fail_after(timeout):
                action, missing = await self._prepare(
                    name, complete(arguments, tool.description.arguments)
                )
            verdict = await self._submit(action)
            if not verdict.allowed:
                return Result(_refusal(name, verdict, grant), failed=True)
            if missing:
                return Result(f"{name}: {missing}", failed=True)
            call = Call(
                self._machine,
                action.arguments,
                action.paths,
                grant,
                timeout=timeout,
                deadline=anyio.current_time() + timeout,
                output=grant.output or tool.output,
                progress=progress,
            )
            with anyio.fail_after(timeout + _GRACE):
                return await tool.run(call)
        except TimeoutError:
            why = f"not done within {format_duration(timeout)}, and was ended"
        except ValidationError:
            why = "an argument, or where its path leads, is not valid Unicode text"
        except (ArgumentError, StockadeError) as error:
            why = one_line(error, 500)
        return Result(f"{name}: {why}", failed=True)

    async def _prepare(self, name: str, arguments: dict[str, Any]) -> tuple[ToolCall, str]:
        """Give the action, and why it cannot be done if the machine cannot follow a path.

        Such an action is still put to the gate, with the path as it is written: whether something
        is there is nothing that a refused call tells.
        """
        paths: dict[str, str] = {}
        missing = ""
        for argument in BUILT_IN[name].paths:
            path = posixpath.join(WORKSPACE, arguments[argument])
            arguments[argument] = path
            try:
                paths[argument] = await self._machine.files.resolve(path)
            except RequestError as error:
                paths[argument] = posixpath.normpath(path).replace("//", "/")
                missing = one_line(error, 500)
        return ToolCall(tool=name, arguments=arguments, paths=paths), missing


def _refusal(name: str, verdict: Verdict, grant: ToolGrant) -> str:
    allowed = verdict.hint
    if not allowed and grant.paths:
        allowed = f"Allowed are {', '.join(grant.paths[:8])}."
    elif not allowed and grant.commands:
        allowed = f"Allowed are {'; '.join(grant.commands[:8])}."
    return f"{name} was refused: {verdict.reason} (rule {verdict.rule}). {allowed}".strip()
