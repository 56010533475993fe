from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.prepare import prepare, prepare_runtime
from stockade.sandbox.images.store import ImageStore
from stockade.sandbox.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stockade.sandbox.images.cache import Cache
    from stockade.sandbox.images.progress import Progress

pytestmark = pytest.mark.anyio


async def test_an_image_is_built_on_first_use_and_found_from_then_on(
    cache: Cache, tree: Path, progress: Progress, stages: list[tuple[str, float | None]]
) -> None:
    image = await prepare(f"dir:{tree}", progress)
    assert image.path.is_relative_to(cache.root)
    assert stages[-1] == (f"built dir:{tree}", 1.0)
    stages.clear()
    assert await prepare(f"dir:{tree}", progress) == image
    assert stages == []


async def test_what_was_made_can_be_found_and_removed(
    cache: Cache, tree: Path, extract: Callable[[Path], Path]
) -> None:
    image = await prepare(f"dir:{tree}")
    assert (extract(image.path) / "etc" / "motd").read_text() == "welcome\n"
    store = ImageStore(cache.root)
    assert store.find(f"dir:{tree}", verify=True) == image
    assert store.remove(image.manifest.digest[:12]) == [image]
    assert store.list() == []


async def test_rebuilding_is_only_done_when_asked_for(
    cache: Cache, tree: Path, progress: Progress, stages: list[tuple[str, float | None]]
) -> None:
    await prepare(f"dir:{tree}")
    await prepare(f"dir:{tree}", progress, rebuild=True)
    assert stages


async def test_a_name_that_is_none_changes_nothing(cache: Cache) -> None:
    with pytest.raises(ImageError, match="unknown image"):
        await prepare("nope")
    assert not cache.root.exists()


async def test_the_default_image_and_the_runtime_come_from_the_cache() -> None:
    image, runtime = await prepare("debian-python"), await prepare_runtime()
    files = [image.path, runtime.kernel, runtime.initramfs, runtime.disk]
    assert all(path.is_relative_to(cache_dir()) and path.is_file() for path in files)
    assert await prepare_runtime() == runtime
