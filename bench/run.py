"""How long the whole ``stockade run -- true`` takes, beside what it cannot do without.

The floors: starting a program at all, Python with the modules of ``run``, a program in the very
jail of the machines, QEMU up to its version, and QEMU in the jail with the machine of a run but
nothing to load: its firmware is one instruction that ends it. Beside them the command line's own
start: ``stockade --version``, ``stockade ps``, and a run that is refused when all is imported. And
its two parts: Python's start with the imports, and a copy of the template up to its first reply.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.sandbox.backends.qemu_microvm import find_program
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from bench._floors import PYTHON, floors, run
    from bench._measure import in_turns, options, ratio, report, summaries
else:
    from _floors import PYTHON, floors, run
    from _measure import in_turns, options, ratio, report, summaries

_STOCKADE = Path(PYTHON).with_name("stockade")
_IMPORTS = "import stockade.cli.running, stockade.session, stockade.sandbox.sandbox"
_REFUSED = ["run", "--image", "none", "--", "true"]  # there is no such image
_WHOLE = "stockade_run_true"


def main() -> None:
    arguments = options(__doc__.splitlines()[0], runs=5).parse_args()
    qemu = find_program()
    times: dict[str, list[float]] = {}
    anyio.run(_session)  # what is made once is made now: image, template
    with floors() as candidates:
        candidates |= {
            _WHOLE: lambda: run([_STOCKADE, "run", "--", "true"]),
            "python_imports_of_run": lambda: run([PYTHON, "-c", _IMPORTS]),
            "stockade_version": lambda: run([_STOCKADE, "--version"]),
            "stockade_ps": lambda: run([_STOCKADE, "ps"]),
            "stockade_run_refused": lambda: run([_STOCKADE, *_REFUSED], code=125),
            "qemu_version": lambda: run([qemu, "--version"]),
        }
        for _ in range(arguments.runs):
            turn = in_turns(1, candidates)
            for name, values in {**turn, **anyio.run(_session)}.items():
                times.setdefault(name, []).extend(values)
    whole, imports = times[_WHOLE], times["python_imports_of_run"]
    report(
        "run",
        "ms",
        {
            **summaries(times),
            "whole_to_parts": ratio(whole, _sums(imports, times["clone_to_first_reply"])),
            "whole_to_imports_and_session": ratio(whole, _sums(imports, times["session_true"])),
            "times_the_floor": {
                name: ratio(whole, values) for name, values in times.items() if name != _WHOLE
            },
        },
    )


async def _session() -> dict[str, list[float]]:
    """What the command does after its imports, in this process, which has done them."""
    begun = time.perf_counter()
    async with Sandbox() as box:
        timings = box.timings
        assert (await box.exec(["true"])).code == 0
    return {
        "clone_to_first_reply": [(timings["launch"] + timings["boot"]) * 1e3],
        "session_true": [(time.perf_counter() - begun) * 1e3],
    }


def _sums(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]


if __name__ == "__main__":
    main()
