"""``stockade pause``: stop a machine, and save it on disk, until it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_machine
from stockade.model.errors import StockadeError

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare which machine."""
    add_machine(parser)
    parser.epilog = (
        "It uses no processor time, and its command's time does not pass, until stockade resume."
        " It is also saved on disk, and resumed from there if the run that it belongs to has ended."
    )


def run(arguments: Namespace) -> int:
    """Pause the machine and print its id."""
    from stockade.sandbox import registry

    machine = registry.find(arguments.machine).id
    from stockade.sandbox import checkpoints, control

    if machine in checkpoints.paused_machines():
        raise StockadeError(
            f"machine {machine} is paused already", hint=f"Use stockade resume {machine}."
        )
    control.ask(machine, op="pause")
    print(machine)
    return 0
