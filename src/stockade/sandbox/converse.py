"""Serve all three streams of a process at once, which is the only way that none of them blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from stockade.model.outcome import ExecResult

if TYPE_CHECKING:
    from stockade.sandbox.process import Process


async def collect(process: Process, stdin: bytes, *, limit: int | None = None) -> ExecResult:
    """Give ``stdin``, take all output, and return it with how the process ended.

    Raises ``OverflowError`` when standard output is more than ``limit`` bytes. The process is over
    when this returns or raises.
    """
    output, errors = bytearray(), bytearray()

    async def give() -> None:
        try:
            await process.stdin.send(stdin)
        except BrokenPipeError:
            return  # it reads no more; the rest is nobody's
        process.stdin.end()

    async def take_output() -> None:
        while chunk := await process.read_stdout():
            output.extend(chunk)
            if limit is not None and len(output) > limit:
                raise OverflowError(f"larger than {limit} bytes")

    async def take_errors() -> None:
        while chunk := await process.read_stderr():
            errors.extend(chunk)

    try:
        async with anyio.create_task_group() as tasks:
            for task in (give, take_output, take_errors):
                tasks.start_soon(task)
            outcome = await process.wait()
    except BaseExceptionGroup as group:
        raise first_cause(group) from None
    finally:
        process.stop(None)
    return ExecResult(outcome, bytes(output), bytes(errors))


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a task group; the others in it are its consequences."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
