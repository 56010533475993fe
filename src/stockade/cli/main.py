"""The entry point: which subcommands there are, and how every error is told.

Subcommands are named by module, so that each run imports only its own.
"""

from __future__ import annotations

import gc
import os
import sys

ABOUT = "Contain autonomous AI agents: each run in a machine of its own."
COMMANDS = {
    "run": "Run one command in a machine of its own.",
    "shell": "Open a shell in a machine of its own.",
    "ps": "List the machines that are running.",
    "kill": "End a machine at once.",
    "pause": "Stop a machine, and save it on disk, until it is resumed.",
    "resume": "Let a paused machine go on, also when the run it belonged to has gone.",
    "fork": "Run a command or a shell in a copy of a running machine.",
    "checkpoint": "Take, list and remove checkpoints, to which machines can go back.",
    "rollback": "Go back to a checkpoint.",
    "image": "Build, list and remove guest images.",
    "mcp": "Serve the tools of a profile to an agent, by MCP.",
    "template": "List and remove templates, the booted machines that others are copies of.",
    "policy": "Check, explain, compare and learn profiles.",
    "selftest": "Try to get past the walls, and say what came of it.",
    "doctor": "Say which walls can be used here, and what is missing.",
}
# Objects made before Python looks for garbage among them. Importing makes sixty thousand and no
# garbage; to look every 700, as is usual, took a quarter of the time until a machine starts.
_UNCOLLECTED = 100_000


def main() -> None:
    """Run ``stockade`` with the process's arguments and exit with its code."""
    gc.set_threshold(_UNCOLLECTED)
    _open_closed_streams()
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody to tell, and nothing went wrong.
        code = 141
        _drop_output()
    except OSError as error:
        from stockade.cli.messages import complain

        # What else the system refuses is a StockadeError by now, or names its file.
        complain(f"cannot write {error.filename or 'standard output'}: {error.strerror}")
        code = 125
        _drop_output()
    sys.stderr.flush()
    # Machines are gone by now and the janitor goes with us. What Python would tidy up at its end is
    # memory, which takes it longer than the system.
    os._exit(code)


def run(words: list[str]) -> int:
    """Run one ``stockade`` command line and return its exit code; print errors as one line."""
    from stockade import __version__
    from stockade.cli.commands import dispatch
    from stockade.cli.messages import complain
    from stockade.model.errors import StockadeError, UsageError

    try:
        return dispatch(
            words,
            COMMANDS,
            package="stockade.cli",
            prog="stockade",
            about=ABOUT,
            version=f"stockade {__version__}",
        )
    except SystemExit:
        return 0  # help or the version was asked for and is given
    except UsageError as error:
        complain(str(error), error.hint)
        return 2
    except StockadeError as error:
        complain(str(error), error.hint)
        return 125


def _open_closed_streams() -> None:
    """Open ``/dev/null`` for each closed standard stream, or the next file opened would be it."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r"))


def _drop_output() -> None:
    """Keep Python from failing once more, at its end, on what it could not write."""
    for fd in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
