"""``stockade image list``: the images in the cache."""

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
    """Show all images, oldest first."""
    from stockade.cli.image.listing import show
    from stockade.sandbox.images.store import ImageStore
    from stockade.sandbox.paths import cache_dir

    show(ImageStore(cache_dir()).list(), json=arguments.json)
    return 0
