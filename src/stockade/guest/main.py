"""The entry point: what the machine's first program hands over to."""

from __future__ import annotations

import os
import signal
import traceback

from stockade.guest import linux, machine
from stockade.guest.agent import Agent
from stockade.guest.loop import Loop


def main() -> None:
    """Serve the host, then end the machine, whatever happens."""
    try:
        # The kernel spares process 1. A child that is told to end before it has become its command
        # ends by it, and does not meet Python's own handler.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        loop = Loop()
        Agent(loop, machine.start_up())
        loop.run()
    except BaseException:  # noqa: BLE001 - process 1 must not end; the console is the last resort
        with open("/dev/console", "w", encoding="utf-8") as console:
            console.write("stockade: the agent failed\n" + traceback.format_exc())
    finally:
        os.chdir("/")
        linux.power_off()
