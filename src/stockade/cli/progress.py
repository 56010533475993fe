"""Progress of long work on standard error, on a terminal only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

import anyio

from stockade.cli.messages import say
from stockade.model.quantities import format_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from stockade.sandbox.process import Process
    from stockade.sandbox.sandbox import Sandbox

_PERIOD = 1.0  # seconds between two lines of a watched run


class Display:
    """A bar while images are built and the machine starts; gone before the command's output."""

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        """Show nothing yet: most runs have nothing to wait for."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self.close()

    def stage(self, title: str, done: float | None) -> None:
        """Say what is being done; ``done`` is the share finished, 0 to 1, if known."""
        if not sys.stderr.isatty():
            return
        bar = self._bar or self._open()
        bar.update(bar.task_ids[0], description=title, total=1.0 if done is not None else None)
        if done is not None:
            bar.update(bar.task_ids[0], completed=done)

    def warn(self, text: str) -> None:
        """Say something the user should know although the work goes on."""
        say(text)

    def close(self) -> None:
        """Take the bar away; another stage brings it back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    async def finish(self, _box: Sandbox, _process: Process) -> None:
        """The machine runs the command now, so the terminal is the command's."""
        self.close()

    async def watch(self, box: Sandbox, process: Process) -> None:
        """Print a line about the machine every second, on a terminal."""
        await self.finish(box, process)
        started = anyio.current_time()
        while sys.stderr.isatty():
            await anyio.sleep(_PERIOD)
            stats = await box.stats()
            seconds = anyio.current_time() - started
            cpu = float(stats["cpu_user"]) + float(stats["cpu_system"])
            memory = format_size(int(stats["memory"]), exact=False)
            sys.stderr.write(f"\r\x1b[2K{seconds:6.0f} s  cpu {cpu:.1f} s  memory {memory}")
            sys.stderr.flush()

    def _open(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.add_task("", total=None)
        self._bar.start()
        return self._bar
