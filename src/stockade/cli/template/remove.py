"""``stockade template remove``: take templates out of the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option
from stockade.model.errors import StockadeError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.sandbox.templates.store import Entry


def add_arguments(parser: Parser) -> None:
    """Declare which templates."""
    parser.add_argument(
        "key", metavar="KEY", help="Key of the template, or at least its first six digits."
    )
    add_json_option(parser)
    parser.epilog = "A template is made anew when it is needed, which takes some seconds."


def run(arguments: Namespace) -> int:
    """Remove the templates and show what they were."""
    from stockade.cli.template.listing import describe, show
    from stockade.sandbox.images.cache import Cache
    from stockade.sandbox.paths import cache_dir
    from stockade.sandbox.templates.store import TemplateStore

    key = arguments.key.lower()
    if len(key) < _FEWEST:
        raise UsageError(
            f"a key has at least {_FEWEST} digits here, so that no other template is removed",
            hint="See stockade template list.",
        )
    store = TemplateStore(Cache(cache_dir()))
    _expect_unused([entry for entry in store.all() if entry.key.startswith(key)])
    show(map(describe, store.remove(key)), json=arguments.json)
    return 0


_FEWEST = 6


def _expect_unused(entries: list[Entry]) -> None:
    """Refuse to make checkpoints useless: they do not outlive their template."""
    from stockade.sandbox import checkpoints

    keys = {entry.key for entry in entries if not entry.damage}
    if names := [one.name for one in checkpoints.saved() if one.template in keys]:
        raise StockadeError(
            f"checkpoints rest on it: {', '.join(names)}",
            hint="Remove those first, by stockade checkpoint remove.",
        )
