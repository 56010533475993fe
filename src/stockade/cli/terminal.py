"""A shell of a machine in this process's own terminal: every key, and every size it takes."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from stockade import session
from stockade.cli.messages import say
from stockade.cli.profiles import build_profile, read_cedar
from stockade.cli.progress import Display
from stockade.cli.streams import InheritedStreams
from stockade.sandbox.process import Terminal

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Iterator

    from stockade.model.profile import Profile
    from stockade.sandbox.checkpoint import Checkpoint
    from stockade.sandbox.process import Process
    from stockade.sandbox.sandbox import Sandbox

_SHELL = ("/bin/sh", "-c", 'exec "$(command -v bash || echo /bin/sh)" -i')


def shell(arguments: Namespace) -> int:
    """Run a shell under the profile of ``arguments`` until it ends; return its exit code."""
    enforce = not arguments.audit_only
    return anyio.run(partial(shell_under, build_profile(arguments), enforce=enforce))


async def shell_under(
    profile: Profile,
    origin: Callable[[], Awaitable[Checkpoint]] | None = None,
    *,
    enforce: bool = True,
) -> int:
    """Run a shell until it ends; return its exit code."""
    with Display() as display:

        async def attend(box: Sandbox, process: Process) -> None:
            await display.finish(box, process)
            say(f"machine {box.id}, destroyed with all its files when the shell ends")
            with _raw_terminal():
                await _follow_size(process)

        report = await session.run(
            profile,
            _SHELL,
            InheritedStreams(),
            progress=display,
            terminal=_size(),
            origin=origin,
            started=attend,
            cedar=read_cedar(profile),
            enforce=enforce,
        )
    if report.outcome.reason:
        say(report.outcome.reason)
    return report.outcome.code


async def _follow_size(process: Process) -> None:
    with anyio.open_signal_receiver(signal.SIGWINCH) as changes:
        await process.resize(_size())
        async for _ in changes:
            await process.resize(_size())


def _size() -> Terminal:
    # Not shutil's: it believes COLUMNS and LINES, which do not change with the window.
    size = os.get_terminal_size(sys.stdin.fileno())
    return Terminal(rows=size.lines or 24, columns=size.columns or 80)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Pass every key on, Ctrl-C included: it is the machine's terminal that gives it a meaning."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
