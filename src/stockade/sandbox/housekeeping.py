"""What must be removed even if this process is killed: told to the janitor before it exists."""

from __future__ import annotations

import atexit
import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from stockade.sandbox import janitor

if TYPE_CHECKING:
    from pathlib import Path

_lock = threading.Lock()
_running: subprocess.Popen[bytes] | None = None


def watch(*paths: Path) -> None:
    """Have ``paths`` removed when this process is gone."""
    _tell(b"+", paths)


def forget(*paths: Path) -> None:
    """Leave ``paths`` alone from now on."""
    _tell(b"-", paths)


def _tell(order: bytes, paths: tuple[Path, ...]) -> None:
    global _running  # noqa: PLW0603 - one janitor for each process, like stdout
    orders = b"".join(order + bytes(path) + b"\0" for path in paths)
    with _lock:
        if _running is None or _running.poll() is not None:
            _running = _start()
        # A janitor that somebody has killed is replaced at the next machine; the kernel still
        # ends the machines of this one.
        with contextlib.suppress(BrokenPipeError):
            assert _running.stdin is not None  # noqa: S101 - for the type checker
            _running.stdin.write(orders)
            _running.stdin.flush()


def _start() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", janitor.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C and the death of the terminal are not for it
        env={},
    )
    atexit.register(_dismiss, process)
    return process


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    process.wait()
