"""What all benchmarks share: options, statistics, facts about the machine, and the one document."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stockade
from stockade.sandbox.backends.qemu_microvm import find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def options(description: str, *, runs: int) -> argparse.ArgumentParser:
    """Give a parser that knows ``--runs``; a benchmark may add options of its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=runs, help=f"times each ({runs})")
    return parser


@contextmanager
def stopwatch(into: list[float], scale: float = 1e3) -> Iterator[None]:
    """Append how long the body took, in milliseconds."""
    begun = time.perf_counter()
    yield
    into.append((time.perf_counter() - begun) * scale)


def in_turns(runs: int, candidates: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Time each candidate once, then each again, ...: what disturbs one then disturbs all."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(runs):
        for name, candidate in candidates.items():
            with stopwatch(found[name]):
                candidate()
    return found


def summary(values: list[float]) -> dict[str, float]:
    """Median, extremes and number of values, to three or four digits."""
    return {
        "median": _short(statistics.median(values)),
        "min": _short(min(values)),
        "max": _short(max(values)),
        "n": len(values),
    }


def summaries(series: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """A summary of each series."""
    return {name: summary(values) for name, values in series.items()}


def distribution(values: list[float]) -> dict[str, float]:
    """Percentiles, extremes and number of values; of few values the high ones are the maximum."""
    ordered = sorted(values)

    def percentile(share: int) -> float:
        # The smallest value that so many percent of all do not exceed.
        return _short(ordered[max(0, -(-len(ordered) * share // 100) - 1)])

    return {
        "p50": _short(statistics.median(values)),
        "p90": percentile(90),
        "p99": percentile(99),
        "min": _short(ordered[0]),
        "max": _short(ordered[-1]),
        "n": len(values),
    }


def distributions(series: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """The distribution of each series."""
    return {name: distribution(values) for name, values in series.items()}


def ratio(one: list[float], other: list[float]) -> float:
    """How many times the other's median the one's median is."""
    return _short(statistics.median(one) / statistics.median(other))


def report(benchmark: str, unit: str, results: dict[str, Any]) -> None:
    """Print the document."""
    document = {"benchmark": benchmark, "unit": unit, **results, "machine": _machine()}
    print(json.dumps(document, indent=2))


def _machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    qemu = subprocess.run(
        [find_program(), "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": _short(memory / (1 << 30)),
        "kernel": platform.release(),
        "qemu": qemu.removeprefix("QEMU emulator version "),
        "python": platform.python_version(),
        "stockade": stockade.__version__,
        # The last minute's load, this benchmark's own included.
        "load": _short(os.getloadavg()[0]),
        "root": os.geteuid() == 0,
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
