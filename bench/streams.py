"""How many megabytes a second go to a command in a machine and come from it.

Through ``Sandbox``, and through the whole ``stockade run`` with pipes on both sides; there the
clock runs from the command's first word to its last, so the boot does not count. A pipe between two
programs on the host is measured beside them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio

from stockade.model.limits import Limits
from stockade.model.profile import Profile
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench._measure import options, ratio, report, summaries
else:
    from _measure import options, ratio, report, summaries

_CHUNK = 1 << 16
_RUN = [str(Path(sys.executable).with_name("stockade")), "run"]
# A word first, so that the clock starts when the command does.
_TAKE = "echo go; cat >/dev/null; echo done"
_GIVE = "echo go; exec head -c {size} /dev/zero"


def main() -> None:
    parser = options(__doc__.splitlines()[0], runs=5)
    parser.add_argument("--megabytes", type=int, default=64, help="megabytes each time (64)")
    arguments = parser.parse_args()
    size = arguments.megabytes * 1_000_000
    rates = anyio.run(_through_sandbox, arguments.runs, size)
    for _ in range(arguments.runs):
        rates.setdefault("run_in", []).append(_run_in(size))
        rates.setdefault("run_out", []).append(_run_out(size))
        rates.setdefault("host_pipe", []).append(_host_pipe(size))
    report(
        "streams",
        "MB/s",
        {
            **summaries(rates),
            "share_of_host_pipe": {
                name: ratio(rates[name], rates["host_pipe"])
                for name in rates
                if "_pipe" not in name
            },
        },
    )


async def _through_sandbox(runs: int, size: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"sandbox_in": [], "sandbox_out": []}
    chunk = bytes(_CHUNK)
    limits = Limits(output=size + _CHUNK)
    async with Sandbox(Profile(limits=limits)) as box:
        for _ in range(runs):
            process = await box.start(["sh", "-c", "cat >/dev/null"])
            begun = time.perf_counter()
            for part in _parts(size):
                await process.stdin.send(memoryview(chunk)[:part])
            process.stdin.end()
            assert (await process.wait()).code == 0
            rates["sandbox_in"].append(_rate(size, begun))
            begun = time.perf_counter()
            process = await box.start(["head", "-c", str(size), "/dev/zero"])
            process.stdin.end()
            left = size
            while received := await process.read_stdout():
                left -= len(received)
            assert left == 0
            rates["sandbox_out"].append(_rate(size, begun))
            await process.wait()
    return rates


def _run_in(size: int) -> float:
    with _started(_TAKE, size) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        begun = time.perf_counter()
        _feed(process.stdin, size)
        assert process.stdout.readline() == b"done\n"
        return _rate(size, begun)


def _run_out(size: int) -> float:
    with _started(_GIVE.format(size=size), size) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        begun = time.perf_counter()
        left = size
        while received := os.read(process.stdout.fileno(), 1 << 20):
            left -= len(received)
        assert left == 0
        return _rate(size, begun)


def _started(script: str, size: int) -> subprocess.Popen[bytes]:
    command = [*_RUN, "--limit", f"output={size + _CHUNK}", "--", "sh", "-c", script]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def _host_pipe(size: int) -> float:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", buffering=0) as target:
        feeder = threading.Thread(target=_feed, args=(target, size))
        begun = time.perf_counter()
        feeder.start()
        while os.read(read_end, _CHUNK):
            pass
        feeder.join()
    os.close(read_end)
    return _rate(size, begun)


def _feed(target: IO[bytes], size: int) -> None:
    chunk = bytes(_CHUNK)
    for part in _parts(size):
        target.write(chunk[:part])
    target.close()


def _parts(size: int) -> Iterator[int]:
    while size:
        part = min(size, _CHUNK)
        size -= part
        yield part


def _rate(size: int, begun: float) -> float:
    return size / 1e6 / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
