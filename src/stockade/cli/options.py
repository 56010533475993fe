"""Options that several subcommands share. What they add up to is told by ``profiles``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from stockade.cli.parser import Parser


def add_profile_options(parser: Parser, *, time: str) -> None:
    """Declare what a machine is like: a profile, and options laid over it.

    ``time`` is what the command gets unless a profile or an option says otherwise.
    """
    parser.add_argument("-p", "--profile", metavar="FILE", help="Profile (YAML) to run under.")
    parser.add_argument(
        "--image",
        metavar="REF",
        help="Image: a built-in name, dir:FOLDER or oci:REFERENCE (default: the profile's, else"
        " debian-python).",
    )
    parser.add_argument(
        "-f",
        "--file",
        action="append",
        metavar="GRANT",
        help="HOST:GUEST[:read|overlay]: a copy of a host file or folder. Repeatable.",
    )
    parser.add_argument(
        "-e",
        "--env",
        action="append",
        metavar="NAME=VALUE",
        help="A variable of the command's environment. Repeatable.",
    )
    parser.add_argument(
        "-l",
        "--limit",
        action="append",
        metavar="NAME=VALUE",
        help="Such as memory=1GiB; names as under `limits` in a profile. Repeatable.",
    )
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        help=f"Wall time of the command, such as 90s (default: the profile's, else {time}).",
    )


def add_machine(parser: Parser) -> None:
    """Declare ``MACHINE``."""
    parser.add_argument("machine", metavar="MACHINE", help="Id of it, or the start of its id.")


def add_restored_options(parser: Parser, argument: str) -> None:
    """Declare what a command or shell in a restored machine may be given; see ``restored``."""
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        help="Wall time of the command, such as 90s (default: the machine's profile's).",
    )
    add_watch_option(parser)
    add_audit_option(parser)
    add_json_option(parser, "Print one JSON document with output and report.")
    parser.take_command(argument, needed=False)


def add_watch_option(parser: Parser) -> None:
    """Declare ``--watch``."""
    parser.add_argument(
        "--watch", action="store_true", help="Show time, CPU and memory meanwhile, on a terminal."
    )


def add_audit_option(parser: Parser) -> None:
    """Declare ``--audit-only``."""
    parser.add_argument(
        "--audit-only",
        action="store_true",
        help="Record what the profile would deny, and let it go ahead.",
    )


def require_terminal(message: str, *, hint: str) -> None:
    """Raise ``UsageError`` unless a person sits at this process's input and output."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(message, hint=hint)


def add_json_option(parser: Parser, help_text: str = "Print one JSON document.") -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help=help_text)
