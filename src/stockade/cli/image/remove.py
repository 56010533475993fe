"""``stockade image remove``: take an image out of the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """Declare which image."""
    parser.add_argument(
        "image", metavar="IMAGE", help="Name of the image, or at least six digits of its digest."
    )
    add_json_option(parser)


def run(arguments: Namespace) -> int:
    """Remove the image and show what it was."""
    from stockade.cli.image.listing import show
    from stockade.sandbox.images.store import ImageStore
    from stockade.sandbox.paths import cache_dir

    show(ImageStore(cache_dir()).remove(arguments.image), json=arguments.json)
    return 0
