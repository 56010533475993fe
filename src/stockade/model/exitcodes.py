"""What `stockade run` exits with when the command's own code is not the answer.

The numbers follow timeout(1), env(1) and the shell, so scripts that know those know these.
"""

from __future__ import annotations

from typing import Final

USAGE: Final = 2
TIMED_OUT: Final = 124
FAILED: Final = 125
REFUSED: Final = 126
NOT_FOUND: Final = 127
INTERRUPTED: Final = 130
KILLED: Final = 137


def of_signal(number: int) -> int:
    """Give the exit code of a command that signal ``number`` ended."""
    return 128 + number
