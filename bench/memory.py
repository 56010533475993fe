"""How much of the host's memory a machine takes, fresh and after it has run Python.

From the hypervisor's ``/proc/PID/smaps`` (proc_pid_smaps(5)): ``private`` is what the machine alone
holds, ``pss`` adds its share of what several processes map. Several machines run at once, so that
what they share shows as shared. Of ``rss``, ``guest_ram`` and ``translated_code`` (QEMU's cache
under emulation) are the two largest mappings; the rest is QEMU's own.
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.sandbox import registry
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from bench._measure import options, report, summaries
else:
    from _measure import options, report, summaries

_MIB = 1024  # in the file's unit, KiB
_FIELD = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)
_IMPORTS = "import json, re, subprocess, unittest, urllib.request"


def main() -> None:
    arguments = options(__doc__.splitlines()[0], runs=2).parse_args()
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
    smaps = Path(f"/proc/{pid}/smaps").read_text("ascii")
    fields = [(name, int(size) / _MIB) for name, size in _FIELD.findall(smaps)]

    def total(*names: str) -> float:
        return sum(size for name, size in fields if name in names)

    sizes = [size for name, size in fields if name == "Size"]
    resident = [size for name, size in fields if name == "Rss"]
    largest = sorted(zip(sizes, resident, strict=True), reverse=True)
    values = {
        "rss": total("Rss"),
        "pss": total("Pss"),
        "private": total("Private_Clean", "Private_Dirty"),
        "shared": total("Shared_Clean", "Shared_Dirty"),
        "guest_ram": largest[0][1],
        "translated_code": largest[1][1],
    }
    for name, value in values.items():
        into.setdefault(name, []).append(value)


if __name__ == "__main__":
    main()
