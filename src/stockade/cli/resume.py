"""``stockade resume``: let a paused machine go on, in its run or, if that has gone, in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_machine, add_restored_options
from stockade.model import exitcodes
from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.cli.progress import Display
    from stockade.sandbox.checkpoint import Checkpoint


def add_arguments(parser: Parser) -> None:
    """Declare which machine, and what to run in it if its own run has gone."""
    add_machine(parser)
    add_restored_options(parser, "MACHINE")
    parser.epilog = (
        "If the run that the machine belongs to still waits, it goes on, and the id is printed."
        " Otherwise the machine goes on here, as it was saved, with COMMAND or, on a terminal, a"
        " shell in it; it has another id then, and is destroyed when that ends. Its processes go on"
        " too, with their input and output closed. What was saved is kept until COMMAND has ended,"
        " and after that if it could not be run (126, 127)."
    )


def run(arguments: Namespace) -> int:
    """Resume the machine; return 0, or the exit code of what runs in it."""
    from stockade.sandbox import checkpoints, registry

    living = {record.id for record in registry.machines()}
    machine = registry.pick(
        arguments.machine,
        living | checkpoints.paused_machines(),
        hint="See stockade ps, and stockade checkpoint list for paused machines.",
    )
    if machine not in living:
        return _revive(machine, arguments)
    if arguments.command or arguments.json or arguments.watch or arguments.timeout is not None:
        raise UsageError(
            f"machine {machine} still has its run, which goes on with its own command",
            hint=f"Use stockade resume {machine} alone, or stockade fork for a command in a copy.",
        )
    from stockade.sandbox import control

    control.ask(machine, op="resume")
    print(machine)
    return 0


def _revive(machine: str, arguments: Namespace) -> int:
    from anyio import to_thread

    from stockade.cli.restored import go_on
    from stockade.sandbox import checkpoints
    from stockade.sandbox.checkpoint import Checkpoint

    name = checkpoints.paused(machine)
    with checkpoints.held(name) as folder:

        async def load(display: Display) -> Checkpoint:
            display.stage("loading the machine", None)
            return await to_thread.run_sync(Checkpoint.load, folder)

        code = go_on(arguments, load)
        # It could not be run, so nothing has come of the machine yet.
        if code not in (exitcodes.REFUSED, exitcodes.NOT_FOUND):
            checkpoints.forget_paused(machine)
        return code
