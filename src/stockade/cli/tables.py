"""Lists for people: a table on a terminal, plain columns in a pipe."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stockade.cli.messages import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print ``rows`` under ``headings`` on standard output."""
    safe = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(headings, *safe, strict=True)]
        for row in (headings, *safe):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in safe:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def show_time(seconds: float) -> str:
    """A moment, in seconds since the epoch, to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
