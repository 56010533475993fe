"""``stockade fork``: a copy of a running machine, in this process; neither sees the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_machine, add_restored_options

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.cli.progress import Display
    from stockade.sandbox.checkpoint import Checkpoint


def add_arguments(parser: Parser) -> None:
    """Declare of which machine, and what to run in the copy."""
    add_machine(parser)
    add_restored_options(parser, "MACHINE")
    parser.epilog = (
        "COMMAND, or on a terminal a shell, runs in a copy of the machine as it is now, which is"
        " destroyed when that ends. The machine itself goes on, and neither sees the other. What"
        " ran in it runs in the copy too, with input and output closed."
    )


def run(arguments: Namespace) -> int:
    """Run something in a copy of the machine; return its exit code."""
    from stockade.sandbox import registry

    machine = registry.find(arguments.machine).id
    from stockade.cli.restored import go_on

    async def copy(display: Display) -> Checkpoint:
        display.stage("copying the machine", None)
        return await _copy(machine)

    return go_on(arguments, copy)


async def _copy(machine: str) -> Checkpoint:
    from functools import partial

    from anyio import to_thread

    from stockade.sandbox import control
    from stockade.sandbox.checkpoint import Checkpoint
    from stockade.sandbox.images.cache import Cache
    from stockade.sandbox.paths import cache_dir

    async with Cache(cache_dir()).scratch() as scratch:
        folder = scratch / "copy"
        await to_thread.run_sync(partial(control.ask, machine, op="checkpoint", folder=str(folder)))
        # Its files stay open when the folder goes.
        return await to_thread.run_sync(Checkpoint.load, folder)
