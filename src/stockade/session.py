"""One run from start to end: the composition root, where profile, machine and streams meet."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from stockade.model.errors import MachineKilledError
from stockade.model.exitcodes import KILLED
from stockade.model.outcome import Outcome, Usage
from stockade.sandbox.converse import converse
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

    from stockade.model.profile import Profile
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
) -> Report:
    """Run one command in a machine of its own, which is gone when this returns.

    The machine is fresh, or goes on from the checkpoint that ``origin`` gives.

    ``started`` is run beside the command, for what wants a hand on it meanwhile (a terminal's size,
    a live display), and is cancelled at its end.
    """
    begun = time.monotonic()
    box = Sandbox(profile, progress=progress, command=argv, origin=origin)
    try:
        async with box:
            process = await box.start(argv, terminal=terminal)
            beside = [partial(_feed, process, streams.input())]
            if started:
                beside.append(partial(started, box, process))
            outcome = await converse(process, streams.give_output, streams.give_error, *beside)
    except MachineKilledError as error:
        wall = time.monotonic() - begun
        outcome = Outcome(KILLED, None, None, str(error), Usage(wall=wall))
    return Report(
        session=box.id,
        profile=profile.name,
        image=profile.image,
        wall=profile.wall.minimum,
        backend=box.backend,
        kernel=box.kernel,
        host_kernel=os.uname().release,
        outcome=outcome,
        seconds=time.monotonic() - begun,
        timings=dict(box.timings),
    )


async def _feed(process: Process, chunks: AsyncIterator[bytes]) -> None:
    """Give the command its input until it reads no more."""
    try:
        async for chunk in chunks:
            await process.stdin.send(chunk)
    except BrokenPipeError:
        return  # the rest of the input is nobody's
    process.stdin.end()
