"""The facade: from an image's name to a file that a machine can boot, building on first use."""

from __future__ import annotations

from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.images.resolve import parse_image_ref
from stockade.sandbox.images.runtime import Runtime, get_runtime
from stockade.sandbox.images.store import Image, ImageStore
from stockade.sandbox.paths import cache_dir


async def prepare(ref: str, progress: Progress | None = None, *, rebuild: bool = False) -> Image:
    """Return the image that ``ref`` names; build it if it is not in the cache.

    ``rebuild`` builds it even so, as for an ``oci:`` tag that may have moved.
    """
    source = parse_image_ref(ref)
    return await ImageStore(cache_dir()).get(source, progress or Silent(), rebuild=rebuild)


async def prepare_runtime(progress: Progress | None = None) -> Runtime:
    """Return the kernel, initramfs and agent disk that every machine boots from."""
    return await get_runtime(Cache(cache_dir()), progress or Silent())
