"""``stockade checkpoint take``: save a running machine as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_machine

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare which machine, and the name."""
    add_machine(parser)
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="Name of the checkpoint (default: the machine's id and a number).",
    )
    parser.epilog = (
        "The machine stands still for some milliseconds and goes on. The checkpoint holds its"
        " memory and files, secrets in them included, until it is removed."
    )


def run(arguments: Namespace) -> int:
    """Take the checkpoint and print its name."""
    from stockade.sandbox import registry

    machine = registry.find(arguments.machine).id
    from stockade.sandbox import checkpoints, control

    name = checkpoints.free_name(machine) if arguments.name is None else arguments.name
    control.ask(machine, op="checkpoint", folder=str(checkpoints.new_folder(name)))
    print(name)
    return 0
