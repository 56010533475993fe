"""``stockade policy accept``: read what third parties' tools say of themselves, and accept it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser

_MORE = (
    "Each server is started in a machine of its own, asked for its tools, and ended. What is"
    " accepted is written beside the profile, as NAME.mcp-lock.json; keep it under version control."
    " Exit code 1 if something was not accepted."
)


def add_arguments(parser: Parser) -> None:
    """Declare the profile, the server, and who answers."""
    parser.add_argument(
        "-p", "--profile", metavar="FILE", required=True, help="Profile (YAML) with the servers."
    )
    parser.add_argument(
        "server", metavar="SERVER", nargs="?", help="Only this one of the servers under `mcp:`."
    )
    parser.add_argument(
        "--yes", action="store_true", help="Accept what is shown, without asking for a word."
    )
    parser.epilog = _MORE


def run(arguments: Namespace) -> int:
    """Show all that is new or changed, ask, and write down what is accepted."""
    from stockade.cli import accepting

    return accepting.run(arguments)
