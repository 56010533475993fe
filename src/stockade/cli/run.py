"""``stockade run``: one command in a machine of its own."""

from __future__ import annotations

import dataclasses
import json as jsonlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from cyclopts import Parameter

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
from stockade.cli.streams import CollectedStreams, InheritedStreams, as_text
from stockade.model.errors import UsageError
from stockade.model.exitcodes import of_signal

if TYPE_CHECKING:
    from stockade.model.profile import Profile


def run(
    *command: Annotated[str, Parameter(help="Command to run, after `--`.")],
    profile: ProfileOption = None,
    image: ImageOption = None,
    file: FileOption = None,
    env: EnvOption = None,
    limit: LimitOption = None,
    timeout: TimeoutOption = None,
    watch: Annotated[
        bool, Parameter(help="Show time, CPU and memory meanwhile, on a terminal.")
    ] = False,
    json: Annotated[
        bool, Parameter(help="Print one JSON document with output and report.")
    ] = False,
) -> int:
    """Run one command in a fresh machine; the machine is destroyed when the command ends.

    Standard input, output and error are the command's. The exit code is the command's own; 124 if
    its time was up, 125 if Stockade failed, 126 if the command cannot be executed, 127 if there is
    no such command, 137 if it was killed or out of memory, 128+n after signal n.
    """
    if not command:
        raise UsageError(
            "no command given", hint="Write it after two dashes: stockade run -- python3 -V."
        )
    chosen = build_profile(
        profile=profile, image=image, files=file, env=env, limits=limit, timeout=timeout
    )
    return anyio.run(_run, chosen, command, watch, json)


async def _run(profile: Profile, command: tuple[str, ...], watch: bool, json: bool) -> int:
    streams = CollectedStreams() if json else InheritedStreams()
    with Display() as display:
        try:
            report = await session.run(
                profile,
                command,
                streams,
                progress=display,
                started=display.watch if watch else display.finish,
            )
        except BrokenPipeError:
            return of_signal(13)  # as if the command had had the closed pipe itself
    if isinstance(streams, CollectedStreams):
        document = describe(report, streams)
        sys.stdout.write(jsonlib.dumps(document, ensure_ascii=True, indent=2) + "\n")
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
