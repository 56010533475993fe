"""``stockade ps``: the machines that are running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare how to print the list."""
    add_json_option(parser)
    parser.epilog = "Lists this user's machines, oldest first."


def run(arguments: Namespace) -> int:
    """List this user's running machines, oldest first."""
    import json
    import shlex
    from dataclasses import asdict

    from stockade.cli.tables import print_table
    from stockade.model.quantities import format_duration
    from stockade.sandbox import registry

    records = registry.machines()
    states = ["paused" if registry.is_paused(record.id) else "running" for record in records]
    if arguments.json:
        described = [
            {**asdict(record), "state": state}
            for record, state in zip(records, states, strict=True)
        ]
        print(json.dumps(described, indent=2))
        return 0
    rows = [
        (
            record.id,
            state,
            record.profile,
            record.image,
            record.backend,
            format_duration(float(int(record.age))),
            str(record.pid),
            _shorten(shlex.join(record.command)),
        )
        for record, state in zip(records, states, strict=True)
    ]
    print_table(("ID", "STATE", "PROFILE", "IMAGE", "BACKEND", "AGE", "PID", "COMMAND"), rows)
    return 0


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
