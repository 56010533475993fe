"""Clean up after a Stockade process that could not do it itself, kill -9 included.

The kernel ends the machines (see ``jail``); what it leaves are empty cgroup directories and the
machines' records. One janitor runs beside each Stockade process that has machines. It reads paths
from a pipe, ``+PATH`` to watch and ``-PATH`` to forget; when the pipe closes, Stockade is gone, and
what is still watched is removed.

This file is run by itself: the standard library only, nothing of Stockade's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

_PATIENCE = 10.0  # seconds for the kernel to finish with a group's last process


def main() -> None:
    """Watch until the pipe on standard input closes, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[str, None] = {}
    for line in sys.stdin.buffer:
        order, path = line[:1], os.fsdecode(line[1:].rstrip(b"\n"))
        if order == b"+":
            watched[path] = None
        else:
            watched.pop(path, None)
    deadline = time.monotonic() + _PATIENCE
    while watched and time.monotonic() < deadline:
        for path in [path for path in watched if _remove(path)]:
            del watched[path]
        time.sleep(0.02)


def _remove(path: str) -> bool:
    """Remove a cgroup, with what still runs in it, or a folder; tell whether it is gone."""
    if not os.path.exists(path):
        return True
    processes = os.path.join(path, "cgroup.procs")
    if not os.path.exists(processes):
        shutil.rmtree(path, ignore_errors=True)
        return not os.path.exists(path)
    with contextlib.suppress(OSError):
        with open(processes, encoding="ascii") as members:
            for member in members:
                os.kill(int(member), signal.SIGKILL)
        os.rmdir(path)
    return not os.path.exists(path)


if __name__ == "__main__":
    main()
