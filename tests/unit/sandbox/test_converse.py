"""All three streams at once, against a stand-in for the far end of each."""

from __future__ import annotations

from typing import cast

import anyio
import pytest

from stockade.model.outcome import Outcome, Usage
from stockade.sandbox.converse import collect, first_cause
from stockade.sandbox.process import Process

pytestmark = pytest.mark.anyio


class _Echo:
    """A process that sends its input back once it has all of it, and then ends."""

    def __init__(self) -> None:
        self.stdin = self
        self.stopped = False
        self._given = bytearray()
        self._complete = anyio.Event()

    async def send(self, data: bytes) -> None:
        self._given += data

    def end(self) -> None:
        self._complete.set()

    async def read_stdout(self) -> bytes:
        await self._complete.wait()
        chunk = bytes(self._given[:10])
        del self._given[:10]
        return chunk

    async def read_stderr(self) -> bytes:
        return b""

    async def wait(self) -> Outcome:
        await self._complete.wait()
        return Outcome(0, None, None, "", Usage())

    def stop(self, limit: object) -> None:
        self.stopped = True


async def test_input_goes_in_and_output_comes_out() -> None:
    echo = _Echo()
    result = await collect(cast("Process", echo), b"x" * 1000)
    assert result.stdout == b"x" * 1000
    assert echo.stopped


async def test_output_over_the_limit_is_an_error_and_ends_the_process() -> None:
    echo = _Echo()
    with pytest.raises(OverflowError, match="larger than 20 bytes"):
        await collect(cast("Process", echo), b"x" * 1000, limit=20)
    assert echo.stopped


def test_the_first_cause_of_nested_groups() -> None:
    cause = ValueError("it")
    group = BaseExceptionGroup("a", [BaseExceptionGroup("b", [cause]), KeyError("later")])
    assert first_cause(group) is cause
