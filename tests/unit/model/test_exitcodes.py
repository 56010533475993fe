from __future__ import annotations

import signal

from stockade.model import exitcodes


def test_numbers_are_those_that_scripts_already_know() -> None:
    assert (exitcodes.USAGE, exitcodes.TIMED_OUT, exitcodes.FAILED) == (2, 124, 125)
    assert (exitcodes.REFUSED, exitcodes.NOT_FOUND) == (126, 127)


def test_a_signal_gives_what_the_shell_gives() -> None:
    assert exitcodes.of_signal(signal.SIGTERM) == 143
    assert exitcodes.of_signal(signal.SIGKILL) == exitcodes.KILLED
    assert exitcodes.of_signal(signal.SIGINT) == exitcodes.INTERRUPTED
