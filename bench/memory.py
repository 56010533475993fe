"""How much of the host's memory a machine takes, fresh and after it has run Python.

Several machines run at once, so that what they share shows as shared: with one alone, all of it
counts as its own. ``_memory.py`` says what the parts are.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from stockade.sandbox import registry
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from bench._measure import options, report, summaries
    from bench._memory import parts
else:
    from _measure import options, report, summaries
    from _memory import parts

_IMPORTS = "import json, re, subprocess, unittest, urllib.request"


def main() -> None:
    arguments = options(__doc__.splitlines()[0], runs=3).parse_args()
    fresh, used = anyio.run(_measure, arguments.runs)
    report(
        "memory",
        "MiB",
        {
            "machines_at_once": arguments.runs,
            "fresh": summaries(fresh),
            "after_python": summaries(used),
        },
    )


async def _measure(machines: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    fresh: dict[str, list[float]] = {}
    used: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        boxes = [await stack.enter_async_context(Sandbox()) for _ in range(machines)]
        for box in boxes:
            await box.ping()
        for box in boxes:
            _note(fresh, box)
        for box in boxes:
            assert (await box.exec(["python3", "-c", _IMPORTS])).code == 0
        for box in boxes:
            _note(used, box)
    return fresh, used


def _note(into: dict[str, list[float]], box: Sandbox) -> None:
    pid = next(record.pid for record in registry.machines() if record.id == box.id)
    for name, value in parts(pid).items():
        into.setdefault(name, []).append(value)


if __name__ == "__main__":
    main()
