"""``stockade ps``: the machines that are running."""

from __future__ import annotations

import json as jsonlib
import shlex
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from stockade.cli.tables import print_table
from stockade.model.quantities import format_duration
from stockade.sandbox import registry


def ps(*, json: Annotated[bool, Parameter(help="Print one JSON document.")] = False) -> int:
    """List this user's running machines, oldest first."""
    records = registry.machines()
    if json:
        print(jsonlib.dumps([asdict(record) for record in records], indent=2))
        return 0
    rows = [
        (
            record.id,
            record.profile,
            record.image,
            record.backend,
            format_duration(float(int(record.age))),
            str(record.pid),
            _shorten(shlex.join(record.command)),
        )
        for record in records
    ]
    print_table(("ID", "PROFILE", "IMAGE", "BACKEND", "AGE", "PID", "COMMAND"), rows)
    return 0


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
