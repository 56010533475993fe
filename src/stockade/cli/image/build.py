"""``stockade image build``: make an image, and the kernel and agent that every machine needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.sandbox.images.store import Image


def add_arguments(parser: Parser) -> None:
    """Declare which image, and whether to make it again."""
    parser.add_argument(
        "ref",
        metavar="REF",
        nargs="?",
        default="debian-python",
        help="A built-in name, dir:FOLDER or oci:REFERENCE (default: %(default)s).",
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="Build it even if it is there, as for a tag that may have moved.",
    )
    add_json_option(parser)


def run(arguments: Namespace) -> int:
    """Build the image and show it."""
    import anyio

    from stockade.cli.image.listing import show

    show([anyio.run(_build, arguments.ref, arguments.rebuild)], json=arguments.json)
    return 0


async def _build(ref: str, rebuild: bool) -> Image:
    from stockade.cli.progress import Display
    from stockade.sandbox.images.prepare import prepare, prepare_runtime

    with Display() as display:
        await prepare_runtime(display)
        return await prepare(ref, display, rebuild=rebuild)
