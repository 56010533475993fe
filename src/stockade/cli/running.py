"""A run as the command line makes it: the process's own streams, progress, and how it ended."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import anyio

from stockade import session
from stockade.cli.messages import say
from stockade.cli.profiles import build_profile, read_cedar
from stockade.cli.progress import Display
from stockade.cli.streams import CollectedStreams, InheritedStreams, as_text
from stockade.model.exitcodes import of_signal

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable

    from stockade.model.profile import Profile
    from stockade.sandbox.checkpoint import Checkpoint
    from stockade.sandbox.process import Process
    from stockade.sandbox.sandbox import Sandbox


def run(arguments: Namespace) -> int:
    """Run ``arguments.command`` under the profile of the other arguments."""
    return anyio.run(run_under, build_profile(arguments), arguments)


async def run_under(
    profile: Profile,
    arguments: Namespace,
    origin: Callable[[], Awaitable[Checkpoint]] | None = None,
) -> int:
    """Run ``arguments.command`` as ``--watch`` and ``--json`` say; return its exit code."""
    streams = CollectedStreams() if arguments.json else InheritedStreams()
    with Display() as display:

        async def attend(box: Sandbox, process: Process) -> None:
            await (display.watch if arguments.watch else display.finish)(box, process)

        try:
            report = await session.run(
                profile,
                arguments.command,
                streams,
                progress=display,
                origin=origin,
                started=attend,
                cedar=read_cedar(profile),
                enforce=not arguments.audit_only,
            )
        except BrokenPipeError:
            return of_signal(13)  # as if the command had had the closed pipe itself
    if isinstance(streams, CollectedStreams):
        document = describe(report, streams)
        sys.stdout.write(json.dumps(document, ensure_ascii=True, indent=2) + "\n")
    elif report.outcome.reason:
        say(report.outcome.reason)
    return report.outcome.code


def describe(report: session.Report, streams: CollectedStreams) -> dict[str, Any]:
    """The JSON document of a run."""
    return {
        **dataclasses.asdict(report),
        "stdout": as_text(streams.output),
        "stderr": as_text(streams.error),
    }
