"""A machine that goes on from a checkpoint, in this process: with a command in it, or a shell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio

from stockade.cli.options import require_terminal
from stockade.cli.progress import Display
from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable

    from stockade.model.profile import Profile
    from stockade.sandbox.checkpoint import Checkpoint


def go_on(arguments: Namespace, opening: Callable[[Display], Awaitable[Checkpoint]]) -> int:
    """Go on from what ``opening`` gives, under the profile that it ran under.

    Nothing is done before the arguments are known to make sense.
    """
    if not arguments.command:
        _expect_a_person(arguments)
    return anyio.run(_go_on, arguments, opening)


async def _go_on(arguments: Namespace, opening: Callable[[Display], Awaitable[Checkpoint]]) -> int:
    with Display() as display:
        checkpoint = await opening(display)

    async def origin() -> Checkpoint:
        return checkpoint  # the sandbox closes it

    profile = _amended(checkpoint.origin.profile, arguments)
    if arguments.command:
        from stockade.cli.running import run_under

        return await run_under(profile, arguments, origin)
    from stockade.cli.terminal import shell_under

    return await shell_under(profile, origin, enforce=not arguments.audit_only)


def _expect_a_person(arguments: Namespace) -> None:
    for option in ("json", "watch"):
        if getattr(arguments, option):
            raise UsageError(f"--{option} is for a command", hint="Write it after two dashes.")
    require_terminal(
        "no command given, and a shell needs a terminal",
        hint="Write the command after two dashes: -- COMMAND.",
    )


def _amended(profile: Profile, arguments: Namespace) -> Profile:
    """The machine's profile, but for what is about the command and not about the machine."""
    limits = None
    if arguments.timeout is not None:
        limits = profile.limits.override(wall_time=arguments.timeout)
    env = {} if arguments.command else {"TERM": os.environ.get("TERM", "dumb")}
    return profile.amend(env=env, limits=limits)
