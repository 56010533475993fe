"""``stockade image``: build, list and remove guest images."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from cyclopts import App, Parameter

from stockade.cli.progress import Display
from stockade.cli.tables import print_table
from stockade.model.quantities import format_size
from stockade.sandbox.images.prepare import prepare, prepare_runtime
from stockade.sandbox.images.store import Image, ImageStore
from stockade.sandbox.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

app = App(name="image", help="Build, list and remove guest images.")

_Json = Annotated[bool, Parameter(help="Print one JSON document.")]


@app.command
def build(
    ref: Annotated[
        str, Parameter(help="A built-in name, dir:FOLDER or oci:REFERENCE.")
    ] = "debian-python",
    /,
    *,
    rebuild: Annotated[
        bool, Parameter(help="Build it even if it is there, as for a tag that may have moved.")
    ] = False,
    json: _Json = False,
) -> int:
    """Build an image, and what every machine needs besides, unless they are there already."""

    async def work() -> Image:
        with Display() as display:
            await prepare_runtime(display)
            return await prepare(ref, display, rebuild=rebuild)

    _show([anyio.run(work)], json=json)
    return 0


@app.command(name="list")
def list_images(*, json: _Json = False) -> int:
    """List the images in the cache, oldest first."""
    _show(ImageStore(cache_dir()).list(), json=json)
    return 0


@app.command
def remove(
    image: Annotated[str, Parameter(help="Name of the image, or the start of its digest.")],
    /,
    *,
    json: _Json = False,
) -> int:
    """Remove an image from the cache; machines that run from it go on."""
    _show(ImageStore(cache_dir()).remove(image), json=json)
    return 0


def _show(images: Sequence[Image], *, json: bool) -> None:
    if json:
        print(jsonlib.dumps([_describe(image) for image in images], indent=2))
        return
    rows = [
        (
            image.manifest.name,
            image.manifest.digest[:12],
            format_size(image.manifest.size, exact=False),
            f"{image.manifest.created:%Y-%m-%d %H:%M}",
            f"{len(image.manifest.drift)} packages" if image.manifest.drift else "none",
        )
        for image in images
    ]
    print_table(("NAME", "DIGEST", "SIZE", "CREATED (UTC)", "DRIFT FROM LOCK"), rows)


def _describe(image: Image) -> dict[str, Any]:
    return {"path": str(image.path), **image.manifest.model_dump(mode="json")}
