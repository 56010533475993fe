"""One run from start to end: the composition root, where profile, machine and streams meet."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from stockade.model.action import Execution
from stockade.model.errors import MachineKilledError
from stockade.model.exitcodes import KILLED, REFUSED
from stockade.model.outcome import Outcome, Usage
from stockade.oversight import Oversight
from stockade.sandbox import registry
from stockade.sandbox.converse import converse, first_cause
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence

    from stockade.model.profile import Profile
    from stockade.model.verdict import Verdict
    from stockade.sandbox.checkpoint import Checkpoint
    from stockade.sandbox.images.progress import Progress
    from stockade.sandbox.process import Process, Terminal


class Streams(Protocol):
    """Where a command's input comes from and its output goes.

    ``give_output`` and ``give_error`` may wait, which holds the command back; when they raise
    ``BrokenPipeError`` nobody wants the output any more, and the command is ended.
    """

    def input(self) -> AsyncIterator[bytes]:
        """The chunks of standard input."""
        ...

    async def give_output(self, chunk: bytes) -> None:
        """Take the next bytes of standard output."""
        ...

    async def give_error(self, chunk: bytes) -> None:
        """Take the next bytes of standard error."""
        ...


@dataclass(frozen=True)
class Report:
    """What can be said about a finished run. Times are in seconds."""

    session: str
    profile: str
    image: str
    wall: str
    backend: str
    kernel: str
    host_kernel: str
    outcome: Outcome
    seconds: float
    timings: dict[str, float] = field(default_factory=dict)


async def run(
    profile: Profile,
    argv: Sequence[str],
    streams: Streams,
    *,
    progress: Progress | None = None,
    terminal: Terminal | None = None,
    origin: Callable[[], Awaitable[Checkpoint]] | None = None,
    started: Callable[[Sandbox, Process], Coroutine[Any, Any, None]] | None = None,
    cedar: Mapping[str, str] | None = None,
    enforce: bool = True,
) -> Report:
    """Run one command in a machine of its own, which is gone when this returns.

    The machine is fresh, or goes on from the checkpoint that ``origin`` gives. ``cedar`` are the
    Cedar files beside the profile, name to text; ``enforce`` is off where only a record is wanted
    of what would be denied.

    ``started`` is run beside the command, for what wants a hand on it meanwhile (a terminal's size,
    a live display), and is cancelled at its end.
    """
    begun = time.monotonic()
    action = Execution.of(argv)
    machine = registry.new_id()
    box: Sandbox | None = None
    with Oversight(machine, profile, cedar=cedar, enforce=enforce) as oversight:

        async def proceed() -> Outcome:
            nonlocal box
            async with oversight.network() as trust:
                box = Sandbox(
                    profile,
                    id=machine,
                    progress=progress,
                    command=argv,
                    origin=origin,
                    network=oversight.serve,
                    trust=trust,
                )
                async with box:
                    verdict = await oversight.submit(action)
                    if not verdict.allowed:
                        return _refused(verdict, time.monotonic() - begun)
                    process = await box.start(argv, terminal=terminal)
                    beside = [partial(_feed, process, streams.input())]
                    if started:
                        beside.append(partial(started, box, process))
                    give = (streams.give_output, streams.give_error)
                    return await converse(process, *give, *beside)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(oversight.open)
                outcome = await proceed()
        except BaseExceptionGroup as group:
            cause = first_cause(group)
            if not isinstance(cause, MachineKilledError):
                raise cause from None
            wall = time.monotonic() - begun
            outcome = Outcome(KILLED, None, None, str(cause), Usage(wall=wall))
    return Report(
        session=machine,
        profile=profile.name,
        image=profile.image,
        wall=profile.wall.minimum,
        backend=box.backend if box else "",
        kernel=box.kernel if box else "",
        host_kernel=os.uname().release,
        outcome=outcome,
        seconds=time.monotonic() - begun,
        timings=dict(box.timings) if box else {},
    )


def _refused(verdict: Verdict, wall: float) -> Outcome:
    reason = f"{verdict.reason}. {verdict.hint}" if verdict.hint else verdict.reason
    return Outcome(REFUSED, None, None, reason, Usage(wall=wall))


async def _feed(process: Process, chunks: AsyncIterator[bytes]) -> None:
    """Give the command its input until it reads no more."""
    try:
        async for chunk in chunks:
            await process.stdin.send(chunk)
    except BrokenPipeError:
        return  # the rest of the input is nobody's
    process.stdin.end()
