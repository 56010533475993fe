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
from pathlib import Path

_PATIENCE = 10.0  # seconds for the kernel to finish with a group's last process


def main() -> None:
    """Watch until the pipe on standard input closes, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[Path, None] = {}
    for line in sys.stdin.buffer:
        order, path = line[:1], Path(os.fsdecode(line[1:].rstrip(b"\n")))
        if order == b"+":
            watched[path] = None
        else:
            watched.pop(path, None)
    deadline = time.monotonic() + _PATIENCE
    while watched and time.monotonic() < deadline:
        for path in [path for path in watched if _remove(path)]:
            del watched[path]
        time.sleep(0.02)


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
