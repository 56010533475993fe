"""``stockade run``: one command in a machine of its own. The run itself is in ``running``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import (
    add_audit_option,
    add_json_option,
    add_profile_options,
    add_watch_option,
)
from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser

_MORE = (
    "The machine is fresh, and destroyed when the command ends. Standard input, output and error"
    " are the command's. The exit code is the command's own; 124 if its time was up, 125 if"
    " Stockade failed, 126 if the profile refuses the command or"
    " it cannot be executed, 127 if there is no such command, 137"
    " if it was killed or out of memory, 128+n after signal n."
)


def add_arguments(parser: Parser) -> None:
    """Declare the profile's options, what to show, and the command."""
    add_profile_options(parser, time="10m")
    add_watch_option(parser)
    add_audit_option(parser)
    add_json_option(parser, "Print one JSON document with output and report.")
    parser.take_command()
    parser.epilog = _MORE


def run(arguments: Namespace) -> int:
    """Run the command and return its exit code."""
    if not arguments.command:
        raise UsageError(
            "no command given", hint="Write it after two dashes: stockade run -- python3 -V."
        )
    from stockade.cli import running

    return running.run(arguments)
