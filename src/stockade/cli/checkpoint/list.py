"""``stockade checkpoint list``: what machines can go back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare how to print the list."""
    add_json_option(parser)


def run(arguments: Namespace) -> int:
    """Show all checkpoints, oldest first."""
    import json
    from dataclasses import asdict

    from stockade.cli.tables import print_table, show_time
    from stockade.model.quantities import format_size
    from stockade.sandbox import checkpoints

    found = checkpoints.saved()
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return 0
    rows = [
        (
            one.name,
            one.machine,
            one.profile,
            one.image,
            format_size(one.size, exact=False),
            show_time(one.taken),
        )
        for one in found
    ]
    print_table(("NAME", "MACHINE", "PROFILE", "IMAGE", "SIZE", "TAKEN (UTC)"), rows)
    return 0
