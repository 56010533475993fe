"""Run an external program: bounded output, a clear error, and no process left behind.

Some of these programs start many others (mmdebstrap starts apt, dpkg and maintainer scripts), and
Stockade itself may be killed with no chance to clean up. So each runs in a session of its own,
together with a *guard*: a shell that waits on a pipe whose other end only Stockade holds. When
Stockade dies the pipe closes and the guard ends the whole process group.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.model.errors import ImageError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import ByteReceiveStream, Process

# The guard ignores TERM because it belongs to the group that it ends. $1 is the pipe.
_GUARD = (
    '(trap "" TERM; read -r _ < "/proc/self/fd/$1"; kill -TERM 0; sleep 15; kill -KILL 0)'
    ' >/dev/null 2>&1 & shift; exec "$@"'
)
_STDERR_LIMIT = 64 * 1024
_LINE_LIMIT = 8 * 1024
_GRACE_SECONDS = 15.0

# What a build may see of the caller's environment; anything else could leak into an image.
_KEPT_VARIABLES = (
    "HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "ftp_proxy", "all_proxy",
    "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Finished:
    """How a program ended, with the last part of what it said."""

    program: str
    returncode: int
    stdout: bytes
    stderr: str


def find_program(name: str, *, package: str) -> str:
    """Return the path of a program, or raise with the command that installs it."""
    # An ordinary user's PATH on Debian lacks the sbin directories.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
    if found is None:
        raise MissingToolError(f"{name} is not installed", hint=f"Run: apt install {package}")
    return found


def clean_env(**extra: str) -> dict[str, str]:
    """Return an environment that does not depend on who builds."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {"PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8", **kept, **extra}


async def run(
    argv: Sequence[str | bytes | Path],
    *,
    package: str,
    env: dict[str, str] | None = None,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
    on_line: Callable[[str], None] | None = None,
    stdout_limit: int = 16 * 1024 * 1024,
) -> Finished:
    """Run a program to its end and return what it said; a bad exit status is the caller's affair.

    ``stdout`` sends standard output to a file descriptor instead of memory; ``on_line`` sees each
    line of standard error as it comes. Cancellation ends the program and all that it started.
    """
    program = find_program(os.fsdecode(argv[0]), package=package)
    guarded, guard = os.pipe()
    try:
        # Cancelled half-way, asyncio would kill the program alone, with no chance to clean up.
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                ["/bin/sh", "-c", _GUARD, "sh", str(guarded), program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout is None else stdout,
                env=clean_env() if env is None else env,
                pass_fds=[guarded, *pass_fds],
                start_new_session=True,
            )
        try:
            out, err = bytearray(), _Tail(on_line)
            async with anyio.create_task_group() as readers:
                if process.stdout is not None:
                    readers.start_soon(_collect, process.stdout, out, stdout_limit)
                if process.stderr is not None:
                    readers.start_soon(err.read, process.stderr)
                try:
                    returncode = await process.wait()
                finally:
                    # Here, for what it left behind could hold the readers' pipes open for ever.
                    with anyio.CancelScope(shield=True):
                        await _end(process)
        finally:
            with anyio.CancelScope(shield=True):
                await process.aclose()
    finally:
        os.close(guarded)
        os.close(guard)
    return Finished(Path(program).name, returncode, bytes(out), err.text())


async def check(
    argv: Sequence[str | bytes | Path],
    *,
    package: str,
    doing: str,
    env: dict[str, str] | None = None,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run a program as ``run`` does and raise ImageError, "cannot DOING: ...", if it fails."""
    finished = await run(argv, package=package, env=env, stdout=stdout, pass_fds=pass_fds)
    if finished.returncode != 0:
        raise failure(finished, doing=doing)
    return finished


def failure(finished: Finished, *, doing: str) -> ImageError:
    """Describe a failed program in one line."""
    if os.strerror(errno.ENOSPC) in finished.stderr:
        return no_space(doing)
    lines = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
    said = lines[-1][:300] if lines else _status(finished.returncode)
    return ImageError(f"cannot {doing}: {finished.program}: {said}")


def no_space(doing: str) -> ImageError:
    """Describe a full disk."""
    return ImageError(
        f"cannot {doing}: no space left on the disk",
        hint="Free some space, or set STOCKADE_CACHE_DIR to a directory on a larger disk.",
    )


def _status(returncode: int) -> str:
    if returncode < 0:
        return f"ended by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"


async def _end(process: Process) -> None:
    """End what still runs of the process group; first kindly, so that mmdebstrap can clean up."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with anyio.move_on_after(_GRACE_SECONDS):
            await process.wait()
    # The guard is in the group until now, so the number cannot have been given to another.
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _collect(stream: ByteReceiveStream, into: bytearray, limit: int) -> None:
    async for chunk in stream:
        into += chunk[: max(0, limit - len(into))]


class _Tail:
    """Standard error, line by line; only the end is kept."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._kept = bytearray()
        self._line = bytearray()

    async def read(self, stream: ByteReceiveStream) -> None:
        async for chunk in stream:
            self._kept += chunk
            del self._kept[:-_STDERR_LIMIT]
            if self._on_line is not None:
                self._split(chunk, self._on_line)

    def _split(self, chunk: bytes, on_line: Callable[[str], None]) -> None:
        self._line += chunk
        *lines, rest = self._line.split(b"\n")
        for line in lines:
            on_line(line[:_LINE_LIMIT].decode(errors="replace").rstrip())
        self._line = bytearray(rest[:_LINE_LIMIT])

    def text(self) -> str:
        return self._kept.decode(errors="replace")
