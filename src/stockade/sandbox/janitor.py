"""Clean up after a Stockade process that could not do it itself, kill -9 included.

The kernel ends the machines (see ``jail``); what it leaves are empty cgroup directories and the
machines' records. One janitor runs beside each Stockade process that has machines. It reads paths
from a pipe, ``+PATH`` to watch and ``-PATH`` to forget, a zero byte after each; when the pipe
closes, Stockade is gone, and what is still watched is removed.

This file is run by itself: the standard library only, nothing of Stockade's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

TYPE_CHECKING = False  # as in typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 10.0  # seconds for the kernel to finish with a group's last process


def main() -> None:
    """Watch until the pipe on standard input closes, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[Path, None] = {}
    for order in _orders():
        path = Path(os.fsdecode(order[1:]))
        if order.startswith(b"+"):
            watched[path] = None
        else:
            watched.pop(path, None)
    deadline = time.monotonic() + _PATIENCE
    while watched and time.monotonic() < deadline:
        for path in [path for path in watched if _remove(path)]:
            del watched[path]
        time.sleep(0.02)


def _orders() -> Iterator[bytes]:
    """Read order by order; one that its writer did not live to finish names something else."""
    rest = b""
    while chunk := os.read(0, 1 << 16):
        *orders, rest = (rest + chunk).split(b"\0")
        yield from orders


def _remove(path: Path) -> bool:
    """Remove a cgroup, with what still runs in it, or a folder; tell whether it is gone."""
    processes = path / "cgroup.procs"
    if processes.exists():
        with contextlib.suppress(OSError):
            for member in processes.read_text("ascii").split():
                os.kill(int(member), signal.SIGKILL)
            path.rmdir()
    else:
        shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


if __name__ == "__main__":
    main()
