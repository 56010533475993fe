"""``stockade mcp``: the tools of a profile, served to an agent by MCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_audit_option, add_profile_options
from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser

_MORE = (
    "Without --http, MCP is spoken on standard input and output, as clients expect of a server that"
    " they start. The machine is fresh, starts meanwhile, and is destroyed when the client has gone"
    " or at Ctrl-C. What was asked for and decided is in the journal named on standard error."
)


def add_arguments(parser: Parser) -> None:
    """Declare the profile's options, and how to serve."""
    add_profile_options(parser, time="10m")
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        help="Serve HTTP there instead, on loopback, to who has the token: that of"
        " STOCKADE_MCP_TOKEN, or one written to a file.",
    )
    add_audit_option(parser)
    parser.epilog = _MORE


def run(arguments: Namespace) -> int:
    """Serve until the client has gone."""
    if arguments.profile is None:
        raise UsageError(
            "no profile given", hint="Name the tools to serve in one: stockade mcp --profile F."
        )
    from stockade.cli import serving

    return serving.run(arguments)
