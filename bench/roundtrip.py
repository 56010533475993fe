"""How long one command in a running machine takes, beside the same command on the host."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import anyio

from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from bench._measure import options, ratio, report, stopwatch, summaries
else:
    from _measure import options, ratio, report, stopwatch, summaries

_COMMANDS = {"true": ["true"], "python": ["python3", "-c", "pass"]}
_ON_THE_HOST = {"true": ["true"], "python": [sys.executable, "-c", "pass"]}


def main() -> None:
    arguments = options(__doc__.splitlines()[0], runs=20).parse_args()
    times = anyio.run(_measure, arguments.runs)
    report(
        "roundtrip",
        "ms",
        {
            **summaries(times),
            "first_true": times["true"][0],
            "first_python": times["python"][0],
            "times_the_host": {
                name: ratio(times[name], times[f"host_{name}"]) for name in _COMMANDS
            },
        },
    )


async def _measure(runs: int) -> dict[str, list[float]]:
    names = ("ping", *_COMMANDS, *(f"host_{name}" for name in _COMMANDS))
    times: dict[str, list[float]] = {name: [] for name in names}
    async with Sandbox() as box:
        for _ in range(runs):
            with stopwatch(times["ping"]):
                await box.ping()
            for name, command in _COMMANDS.items():
                with stopwatch(times[name]):
                    result = await box.exec(command)
                assert result.code == 0, result
                with stopwatch(times[f"host_{name}"]):
                    _run(_ON_THE_HOST[name])
    return times


def _run(command: list[str]) -> None:
    """Block on purpose: nothing else is to happen meanwhile."""
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
