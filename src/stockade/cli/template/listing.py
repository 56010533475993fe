"""Templates as people and programs read them: a table, or one JSON document."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stockade.cli.tables import print_table, show_time
from stockade.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stockade.sandbox.templates.store import Template

SHORT = 12  # digits of a key that tell it from all others


def describe(template: Template) -> dict[str, Any]:
    """All that is known about a template; it must still be there, as its size is looked up."""
    facts = {name: fact for name, fact in asdict(template.facts).items() if name != "sums"}
    return {"key": template.key, **facts, "size": template.size}


def show(described: Iterable[dict[str, Any]], *, json: bool) -> None:
    """Print what ``describe`` has told."""
    if json:
        print(jsonlib.dumps(list(described), indent=2))
        return
    rows = [
        (
            one["key"][:SHORT],
            one["image"],
            str(one["cpus"]),
            format_size(one["memory"], exact=False),
            format_size(one["size"], exact=False),
            show_time(one["created"]),
        )
        for one in described
    ]
    print_table(("KEY", "IMAGE", "CPUS", "MEMORY", "SIZE", "CREATED (UTC)"), rows)
