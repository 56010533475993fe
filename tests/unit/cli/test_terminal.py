from __future__ import annotations

import os
import subprocess
import sys
import termios

import pytest

_SHOW_SIZE = """
import sys
from stockade.cli import terminal
with terminal._raw_terminal():
    size = terminal._size()
    sys.stdout.write(f"{size.rows} {size.columns}\\r\\n")
"""


@pytest.mark.parametrize("rows", [0, 33])
def test_its_size_is_the_windows_and_its_modes_come_back(rows: int) -> None:
    outer, inner = os.openpty()
    termios.tcsetwinsize(inner, (rows, rows * 3))
    before = termios.tcgetattr(inner)
    subprocess.run(
        [sys.executable, "-c", _SHOW_SIZE],
        stdin=inner,
        stdout=inner,
        env={**os.environ, "COLUMNS": "7", "LINES": "7"},
        check=True,
    )
    assert termios.tcgetattr(inner) == before
    # A terminal without a size is taken for one of the usual size.
    assert os.read(outer, 100) == (b"33 99\r\n" if rows else b"24 80\r\n")
    os.close(outer)
    os.close(inner)
