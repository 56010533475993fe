"""``stockade kill``: end a machine at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_machine

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare which machine."""
    add_machine(parser)
    parser.epilog = "The run that it belongs to ends with 137."


def run(arguments: Namespace) -> int:
    """End a machine at once; the run that it belongs to ends with 137."""
    from stockade.sandbox import registry

    print(registry.kill(arguments.machine).id)
    return 0
