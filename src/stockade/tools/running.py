"""Programs that tools run in the machine: bounded in time, their output taken as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from stockade.tools.text import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from stockade.model.outcome import Outcome
    from stockade.tools.base import Process, Progress
    from stockade.tools.tool import Call

_TICK = 1.0  # seconds between two words on how it goes


async def run(
    call: Call,
    argv: Sequence[str],
    take_output: Callable[[bytes], None],
    take_error: Callable[[bytes], None],
    *,
    env: Mapping[str, str] | None = None,
    words: Callable[[], str] | None = None,
) -> Outcome | None:
    """Run a program without input to its end; None if it was ended for the time of ``call``.

    It has ended when this returns, is cancelled or raises. ``words`` are what its progress is told
    with; by itself the last line that it has said.
    """
    outcome: Outcome | None = None
    with anyio.move_on_at(call.deadline):
        process = await call.machine.start(argv, env=env)
        try:
            outcome = await _serve(call, process, take_output, take_error, words)
        finally:
            process.stop(None)
    return outcome


async def _serve(
    call: Call,
    process: Process,
    take_output: Callable[[bytes], None],
    take_error: Callable[[bytes], None],
    words: Callable[[], str] | None,
) -> Outcome:
    process.stdin.end()
    last = _LastLine()

    async def drain(read: Callable[[], Awaitable[bytes]], take: Callable[[bytes], None]) -> None:
        while chunk := await read():
            take(chunk)
            last.add(chunk)

    async with anyio.create_task_group() as beside:
        if call.progress:
            beside.start_soon(_tell, call.progress, words or last.text)
        async with anyio.create_task_group() as outputs:
            outputs.start_soon(drain, process.read_stdout, take_output)
            outputs.start_soon(drain, process.read_stderr, take_error)
            outcome = await process.wait()
        beside.cancel_scope.cancel()
    return outcome


async def _tell(progress: Progress, words: Callable[[], str]) -> None:
    begun = anyio.current_time()
    while True:
        await progress(anyio.current_time() - begun, words())
        await anyio.sleep(_TICK)


class _LastLine:
    """The last line, but for empty ones, of what a program says."""

    def __init__(self) -> None:
        self._tail = b""

    def add(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk[-1000:])[-1000:]

    def text(self) -> str:
        lines = self._tail.decode(errors="replace").strip().split("\n")
        return one_line(lines[-1], 200)
