"""How many machines there can be at once, what each one costs the host, and whether anything grows.

First ``--cycles`` machines are made, used and destroyed, at most two at a time; then so many idle
copies are kept alive as each of ``--counts`` says.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from stockade.sandbox import registry
from stockade.sandbox.admission import NEED, available_memory
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from bench._measure import distribution, options, report, stopwatch, summary
    from bench._memory import NAMES, parts
else:
    from _measure import distribution, options, report, stopwatch, summary
    from _memory import NAMES, parts

_MIB = 1 << 20
_FLOOR = 2048 * _MIB  # bytes that the host keeps
_AT_ONCE = 2  # cycles
_IDLE = 2.0  # seconds over which an idle machine's processor time is counted
_SHARES = (10, 50, 100)  # percent of the cycles after which is looked


class _ShortError(Exception):
    """One more machine would leave the host too little memory."""


def main() -> None:
    parser = options(__doc__.splitlines()[0], runs=5)
    parser.add_argument("--counts", default="1,10,30,100,300", help="idle machines; 0 for none")
    parser.add_argument("--cycles", type=int, default=1000, help="create, exec, destroy (1000)")
    arguments = parser.parse_args()
    counts = sorted({int(count) for count in arguments.counts.split(",")} - {0})
    report("scale", "ms and MiB", anyio.run(_measure, counts, arguments.runs, arguments.cycles))


async def _measure(counts: list[int], runs: int, cycles: int) -> dict[str, Any]:
    async with Sandbox() as box:
        await box.exec(["true"])  # what is made once is made now: image, template
    # Cycles first: memory that this process has had from many machines would hide what grows.
    return {
        "cycles": await _cycles(cycles) if cycles else None,
        "idle": await _idle(counts, runs) if counts else None,
    }


async def _idle(counts: list[int], runs: int) -> dict[str, Any]:
    before = available_memory()
    found: dict[str, Any] = {}
    stopped = None
    boxes: list[Sandbox] = []
    async with AsyncExitStack() as stack:
        try:
            for count in counts:
                while len(boxes) < count:
                    boxes.append(await stack.enter_async_context(_one_more()))
                found[str(count)] = await _look(boxes, runs, before)
        except _ShortError as short:
            stopped = {"machines": len(boxes), "reason": str(short)}
    return {
        "host_available_before": before / _MIB,
        "counts": found,
        "stopped_early": stopped,
        # Page caches of files that were read for the first time stay.
        "host_available_after": available_memory() / _MIB,
        "machines_left": len(_mine()),
    }


def _one_more() -> Sandbox:
    if available_memory() < _FLOOR + NEED:
        raise _ShortError(
            f"{available_memory() // _MIB} MiB available, {_FLOOR // _MIB} to be kept"
        )
    return Sandbox()


async def _look(boxes: list[Sandbox], runs: int, before: int) -> dict[str, Any]:
    """What these machines take now, and how they bear one more."""
    await anyio.sleep(_IDLE)
    available = available_memory()
    start: list[float] = []
    timings: list[dict[str, float]] = []
    ping: list[float] = []
    for number in range(runs):
        with stopwatch(ping):
            await boxes[number % len(boxes)].ping()
        another = _one_more()
        with stopwatch(start):
            await another.__aenter__()
        timings.append(another.timings)
        await another.close()
    pids = [record.pid for record in _mine()]
    assert len(pids) == len(boxes)
    used = [_processor_time(pid) for pid in pids]
    begun = time.perf_counter()
    await anyio.sleep(_IDLE)
    spent = [_processor_time(pid) - earlier for pid, earlier in zip(pids, used, strict=True)]
    seconds = time.perf_counter() - begun
    memory = [parts(pid) for pid in pids]
    return {
        "start_one_more": summary(start),
        "start_parts": {
            name: round(statistics.median(one[name] for one in timings) * 1e3, 1)
            for name in timings[0]
        },
        "ping": summary(ping),
        "one_machine": {
            name: round(statistics.median(part[name] for part in memory), 2) for name in NAMES
        },
        "private_of_all": round(sum(part["private"] for part in memory), 1),
        "pss_of_all": round(sum(part["pss"] for part in memory), 1),
        # The kernel's part too: page tables, namespaces, sockets, the jails' own processes.
        "host_available": round(available / _MIB, 1),
        "host_lost_each": round((before - available) / _MIB / len(boxes), 2),
        "idle_processor_percent_each": round(statistics.mean(spent) / seconds * 100, 3),
        "own_rss": round(_own_rss(), 1),
        "own_descriptors": _own_descriptors(),
    }


async def _cycles(cycles: int) -> dict[str, Any]:
    """Two at a time make one machine after the other; at some points both stop to be counted."""
    times: list[float] = []
    found: dict[str, Any] = {"0%": _count()}
    seconds = 0.0
    for share in _SHARES:
        wanted = cycles * share // 100 - len(times)
        begun = time.perf_counter()
        numbers = iter(range(wanted))

        async def work() -> None:
            for _ in numbers:  # noqa: B023 - done before it changes
                with stopwatch(times):
                    await _cycle()

        async with anyio.create_task_group() as tasks:
            for _ in range(_AT_ONCE):
                tasks.start_soon(work)
        took = time.perf_counter() - begun
        seconds += took
        rate = round(wanted / took, 2) if wanted else None
        found[f"{share}%"] = {**_count(), "runs": len(times), "runs_per_second": rate}
    return {
        "at_once": _AT_ONCE,
        "runs_per_second": round(len(times) / seconds, 2),
        "one_cycle": distribution(times) if times else None,
        "after": found,
    }


async def _cycle() -> None:
    async with Sandbox() as box:
        result = await box.exec(["true"])
        assert result.code == 0, result


def _count() -> dict[str, Any]:
    """What would grow if anything were left behind."""
    return {
        "own_rss": round(_own_rss(), 1),
        "own_descriptors": _own_descriptors(),
        "own_threads": len(list(Path("/proc/self/task").iterdir())),
        "processes_started": len(_descendants(os.getpid())),
        "machines": len(_mine()),
        "host_available": round(available_memory() / _MIB, 1),
    }


def _mine() -> list[registry.Record]:
    return [record for record in registry.machines() if record.owner == os.getpid()]


def _own_rss() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def _own_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) - 1  # the last one is of this look


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text("ascii").split()):
            found += [child, *_descendants(child)]
    return found


def _processor_time(pid: int) -> float:
    """Seconds of a process, all its threads (proc(5), schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks) / 1e9


if __name__ == "__main__":
    main()
