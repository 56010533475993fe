"""``stockade rollback``: go back to a checkpoint, with a command or a shell in the machine."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from stockade.cli.options import add_restored_options
from stockade.model.errors import StockadeError

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.cli.progress import Display
    from stockade.sandbox.checkpoint import Checkpoint


def add_arguments(parser: Parser) -> None:
    """Declare which checkpoint, and what to run in the machine."""
    parser.add_argument("name", metavar="NAME", help="Name of the checkpoint.")
    add_restored_options(parser, "NAME")
    parser.epilog = (
        "The machine that the checkpoint is of is ended if it still runs: what happened in it since"
        " is gone. It goes on here as it was then, with COMMAND or, on a terminal, a shell in it,"
        " and is destroyed when that ends. The checkpoint stays."
    )


def run(arguments: Namespace) -> int:
    """Go back to the checkpoint; return the exit code of what runs in the machine then."""
    from stockade.sandbox import checkpoints

    folder = checkpoints.existing_folder(arguments.name)
    from anyio import to_thread

    from stockade.cli.restored import go_on
    from stockade.sandbox.checkpoint import Checkpoint

    async def load(display: Display) -> Checkpoint:
        display.stage("loading the checkpoint", None)
        checkpoint = await to_thread.run_sync(Checkpoint.load, folder)
        await _end(checkpoint, display)
        machine = checkpoint.origin.machine
        if arguments.name != checkpoints.paused(machine):
            checkpoints.forget_paused(machine)
        return checkpoint

    return go_on(arguments, load)


async def _end(checkpoint: Checkpoint, display: Display) -> None:
    """End the machine that the checkpoint is of, unless there is no going back to it."""
    from stockade.sandbox import registry
    from stockade.sandbox.foundation import Foundation

    machine, profile = checkpoint.origin.machine, checkpoint.origin.profile
    if machine not in {record.id for record in registry.machines()}:
        return
    with ExitStack() as owned:  # raises if the template that it rests on is gone
        await Foundation.prepare(profile, owned, origin=checkpoint, progress=display)
    with suppress(StockadeError):  # it has ended meanwhile
        registry.kill(machine)
