"""``stockade checkpoint remove``: delete what was saved of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare which checkpoint."""
    parser.add_argument("name", metavar="NAME", help="Name of the checkpoint.")


def run(arguments: Namespace) -> int:
    """Remove the checkpoint and print its name."""
    from stockade.sandbox import checkpoints

    checkpoints.remove(arguments.name)
    print(arguments.name)
    return 0
