"""``stockade shell``: a terminal in a machine of its own."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from stockade import session
from stockade.cli.messages import say
from stockade.cli.options import (
    EnvOption,
    FileOption,
    ImageOption,
    LimitOption,
    ProfileOption,
    TimeoutOption,
    build_profile,
)
from stockade.cli.progress import Display
from stockade.cli.streams import InheritedStreams
from stockade.model.errors import UsageError
from stockade.sandbox.process import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.model.profile import Profile
    from stockade.sandbox.process import Process
    from stockade.sandbox.sandbox import Sandbox

_SHELL = ("/bin/sh", "-c", 'exec "$(command -v bash || echo /bin/sh)" -i')
_LONG = "12h"  # a person's session, unless a profile or an option says otherwise


def shell(
    *,
    profile: ProfileOption = None,
    image: ImageOption = None,
    file: FileOption = None,
    env: EnvOption = None,
    limit: LimitOption = None,
    timeout: TimeoutOption = None,
) -> int:
    """Open a shell in a fresh machine; the machine is destroyed when the shell ends."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("shell needs a terminal", hint="Without one, use stockade run -- COMMAND.")
    chosen = build_profile(
        profile=profile,
        image=image,
        files=file,
        env=[f"TERM={os.environ.get('TERM', 'dumb')}", *(env or [])],
        limits=limit,
        timeout=timeout or (None if profile else _LONG),
    )
    return anyio.run(_shell, chosen)


async def _shell(profile: Profile) -> int:
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
            started=attend,
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
