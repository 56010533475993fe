"""A run as the command line makes it: the process's own streams, progress, and how it ended."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import anyio

from stockade import session
from stockade.cli.messages import say
from stockade.cli.profiles import build_profile
from stockade.cli.progress import Display
from stockade.cli.streams import CollectedStreams, InheritedStreams, as_text
from stockade.model.exitcodes import of_signal

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.model.profile import Profile


def run(arguments: Namespace) -> int:
    """Run ``arguments.command`` under the profile of the other arguments."""
    return anyio.run(_run, build_profile(arguments), arguments)


async def _run(profile: Profile, arguments: Namespace) -> int:
    streams = CollectedStreams() if arguments.json else InheritedStreams()
    with Display() as display:
        try:
            report = await session.run(
                profile,
                arguments.command,
                streams,
                progress=display,
                started=display.watch if arguments.watch else display.finish,
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
