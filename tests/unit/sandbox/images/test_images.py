from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stockade.sandbox import images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stockade.sandbox.images.cache import Cache

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", images.__all__)
def test_what_the_package_promises_is_there(name: str) -> None:
    assert getattr(images, name).__doc__


async def test_the_public_names_are_enough_to_make_find_and_remove_an_image(
    cache: Cache, tree: Path, extract: Callable[[Path], Path]
) -> None:
    image = await images.prepare(f"dir:{tree}", images.Silent())
    assert (extract(image.path) / "etc" / "motd").read_text() == "welcome\n"
    store = images.ImageStore(cache.root)
    assert store.find(f"dir:{tree}", verify=True) == image
    assert store.remove(image.manifest.digest[:12]) == [image]
    assert store.list() == []
