"""``stockade shell``: a terminal in a machine of its own. See ``terminal`` for what ours does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stockade.cli.options import add_audit_option, add_profile_options, require_terminal

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser

_LONG = "12h"  # a person's session, unless a profile or an option says otherwise


def add_arguments(parser: Parser) -> None:
    """Declare the profile's options."""
    add_profile_options(parser, time=_LONG)
    add_audit_option(parser)
    parser.epilog = "The machine is fresh, and destroyed with all its files when the shell ends."


def run(arguments: Namespace) -> int:
    """Open a shell in a fresh machine; the machine is destroyed when the shell ends."""
    require_terminal("shell needs a terminal", hint="Without one, use stockade run -- COMMAND.")
    arguments.env = [f"TERM={os.environ.get('TERM', 'dumb')}", *(arguments.env or ())]
    if arguments.timeout is None and arguments.profile is None:
        arguments.timeout = _LONG
    from stockade.cli import terminal

    return terminal.shell(arguments)
