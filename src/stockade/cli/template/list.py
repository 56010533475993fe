"""``stockade template list``: the templates in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare how to print the list."""
    add_json_option(parser)
    parser.epilog = (
        "MEMORY is the machine's, SIZE is what the template takes on the disk. A damaged one is"
        " made anew when it is needed; --json says what is wrong with it."
    )


def run(arguments: Namespace) -> int:
    """Show all templates, oldest first."""
    from stockade.cli.template.listing import describe, show
    from stockade.sandbox.images.cache import Cache
    from stockade.sandbox.paths import cache_dir
    from stockade.sandbox.templates.store import TemplateStore

    show(map(describe, TemplateStore(Cache(cache_dir())).all()), json=arguments.json)
    return 0
