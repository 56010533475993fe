"""Serve all three streams of a process at once, which is the only way that none of them blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from stockade.model.outcome import ExecResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from stockade.model.outcome import Outcome
    from stockade.sandbox.process import Process


async def converse(
    process: Process,
    give_output: Callable[[bytes], Awaitable[None]],
    give_error: Callable[[bytes], Awaitable[None]],
    *beside: Callable[[], Coroutine[Any, Any, None]],
) -> Outcome:
    """Take all output of ``process`` and return how it ended.

    What runs ``beside``, such as its input, is cancelled then: nobody is left to take it.
    """

    async def drain(
        read: Callable[[], Awaitable[bytes]], give: Callable[[bytes], Awaitable[None]]
    ) -> None:
        while chunk := await read():
            await give(chunk)

    try:
        async with anyio.create_task_group() as others:
            for task in beside:
                others.start_soon(task)
            async with anyio.create_task_group() as outputs:
                outputs.start_soon(drain, process.read_stdout, give_output)
                outputs.start_soon(drain, process.read_stderr, give_error)
                outcome = await process.wait()
            others.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_cause(group) from None
    return outcome


async def collect(
    process: Process,
    stdin: bytes,
    *,
    limit: int | None = None,
    give: Callable[[bytes], Awaitable[None]] | None = None,
) -> ExecResult:
    """Give ``stdin``, take all output, and return it with how the process ended.

    With ``give`` standard output goes there in place of the result. Raises ``OverflowError`` when
    it is more than ``limit`` bytes. The process is over when this returns or raises.
    """
    output, errors = bytearray(), bytearray()

    async def feed() -> None:
        try:
            await process.stdin.send(stdin)
        except BrokenPipeError:
            return  # it reads no more; the rest is nobody's
        process.stdin.end()

    async def keep_output(chunk: bytes) -> None:
        output.extend(chunk)
        if limit is not None and len(output) > limit:
            raise OverflowError(f"larger than {limit} bytes")

    async def keep_error(chunk: bytes) -> None:
        errors.extend(chunk)

    try:
        outcome = await converse(process, give or keep_output, keep_error, feed)
    finally:
        process.stop(None)
    return ExecResult(outcome, bytes(output), bytes(errors))


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a task group; the others in it are its consequences."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
