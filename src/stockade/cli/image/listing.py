"""Images as people and programs read them: a table, or one JSON document."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Any

from stockade.cli.tables import print_table
from stockade.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.sandbox.images.store import Image


def show(images: Sequence[Image], *, json: bool) -> None:
    """Print what is known about ``images``."""
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
