"""Templates as people and programs read them: a table, or one JSON document."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stockade.cli.tables import print_table, show_time
from stockade.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stockade.sandbox.templates.store import Entry

SHORT = 12  # digits of a key that tell it from all others


def describe(entry: Entry) -> dict[str, Any]:
    """All that is known about a template; of a damaged one that may be only what is wrong."""
    facts = asdict(entry.facts) if entry.facts else {}
    facts.pop("sums", None)
    return {"key": entry.key, **facts, "size": entry.size, "damage": entry.damage}


def show(described: Iterable[dict[str, Any]], *, json: bool) -> None:
    """Print what ``describe`` has told."""
    if json:
        print(jsonlib.dumps(list(described), indent=2))
        return
    print_table(
        ("KEY", "IMAGE", "CPUS", "MEMORY", "SIZE", "CREATED (UTC)", "STATE"),
        [_row(one) for one in described],
    )


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    known = "image" in one
    return (
        one["key"][:SHORT],
        one["image"] if known else "-",
        str(one["cpus"]) if known else "-",
        format_size(one["memory"], exact=False) if known else "-",
        format_size(one["size"], exact=False),
        show_time(one["created"]) if known else "-",
        "damaged" if one["damage"] else "ready",
    )
