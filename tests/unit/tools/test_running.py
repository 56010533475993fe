from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.unit.tools.conftest import Tools

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.machine
_CODE = "print('half way', flush=True); import time; time.sleep(600)"


def test_progress_is_told_with_the_last_line(tools: Tools) -> None:
    told: list[tuple[float, str]] = []

    async def call() -> None:
        async with anyio.create_task_group() as tasks:

            async def progress(seconds: float, words: str) -> None:
                told.append((seconds, words))
                if words:
                    tasks.cancel_scope.cancel()

            arguments = {"argv": ["python3", "-c", _CODE]}
            await tools.toolbox.call("run_command", arguments, progress)

    tools.box._call(call)
    assert told[0][1] == ""
    assert told[-1][1] == "half way"
    assert [seconds for seconds, _ in told] == sorted(seconds for seconds, _ in told)


def test_what_is_cancelled_ends_in_the_machine(
    tools: Tools, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    async def call() -> None:
        async with anyio.create_task_group() as tasks:
            arguments = {"argv": ["python3", "-c", _CODE]}

            async def progress(_seconds: float, words: str) -> None:
                if words:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(
                partial(tools.toolbox.call, "run_command", arguments, progress=progress)
            )

    tools.box._call(call)
    eventually(lambda: tools.box.stats()["commands"] == 0, "the command's end")
