"""The image store: each image under the SHA-256 of its contents, in the user's cache.

    images/<digest>/root.erofs      the image
    images/<digest>/manifest.json   what is known about it; without it the image does not count
    keys/<key>                      the manifest that a build key (see ``ImageSource.key``) led to

Two keys may lead to the same contents with other facts, as two tags of one image do: hence a
manifest for each key, while the one beside the image is that of the last build.

An image is never changed after it was published. Removing one that a machine uses is safe: the
machine holds the file open.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from anyio import from_thread, to_thread

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache, disk_errors, remove_tree
from stockade.sandbox.images.manifest import ImageManifest, parse_manifest
from stockade.sandbox.images.progress import Part, Progress

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable
    from pathlib import Path

    from stockade.sandbox.images.sources.base import ImageSource

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Shorter prefixes would too easily be the start of a name.
_PREFIX = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True)
class Image:
    """A finished image: the file to give to a machine, and what is known about it."""

    path: Path
    manifest: ImageManifest


class ImageStore:
    """All images of one user; ``root`` is the cache directory."""

    def __init__(self, root: Path) -> None:
        self._cache = Cache(root)
        self._images = root / "images"
        self._keys = root / "keys"

    def list(self) -> builtins.list[Image]:
        """Return all images, oldest first."""
        with disk_errors(self._images):
            if not self._images.is_dir():
                return []
            found = [self._load(path.name) for path in self._images.iterdir()]
        return sorted(
            (image for image in found if image),
            key=lambda image: (image.manifest.created, image.path),
        )

    def find(self, name: str, *, verify: bool = False) -> Image | None:
        """Return the newest image of that name, or the one whose digest starts so.

        ``verify`` reads the image in full and raises ImageError if it is damaged.
        """
        matches = self._matching(name)
        if not matches:
            return None
        if verify:
            _verify(matches[-1])
        return matches[-1]

    def remove(self, name: str) -> builtins.list[Image]:
        """Remove all images of that name, or the one whose digest starts so; return them."""
        matches = self._matching(name)
        if not matches:
            raise ImageError(f"no image {name!r} in the store", hint="Run: stockade image list")
        for image in matches:
            with disk_errors(self._images):
                # First the manifest: an image half removed does not count.
                (image.path.parent / "manifest.json").unlink(missing_ok=True)
                remove_tree(image.path.parent)
        return matches

    async def get(self, source: ImageSource, progress: Progress, *, rebuild: bool = False) -> Image:
        """Return the image of ``source``; build it if it is not there, or if ``rebuild``."""
        key = await source.key()
        if not rebuild and (image := self._by_key(key)):
            return image

        def waiting() -> None:
            progress.stage(f"waiting for another process that builds {source.name}", None)

        async with self._cache.lock(f"image-{key}", waiting=waiting):
            # Another process may have built it while this one waited.
            if not rebuild and (image := self._by_key(key)):
                return image
            return await self._build(source, key, progress)

    async def _build(self, source: ImageSource, key: str, progress: Progress) -> Image:
        async with self._cache.scratch() as scratch:
            made, work = scratch / "image", scratch / "work"
            made.mkdir()
            work.mkdir()
            target = made / "root.erofs"
            facts = await source.build(target, work, Part(progress, 0.0, 0.97))
            progress.stage("checking the image", 0.98)
            digest = await to_thread.run_sync(_sha256, target, from_thread.check_cancelled)
            manifest = ImageManifest.of(
                facts, digest=digest, name=source.name, size=target.stat().st_size
            )
            (made / "manifest.json").write_text(manifest.text())
            target.chmod(0o444)
            made.chmod(0o755)
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._cache.publish, made, self._images / digest)
                await to_thread.run_sync(self._index, scratch, key, manifest)
        progress.stage(f"built {source.name}", 1.0)
        return Image(self._images / digest / "root.erofs", manifest)

    def _index(self, scratch: Path, key: str, manifest: ImageManifest) -> None:
        with disk_errors(self._keys):
            self._keys.mkdir(exist_ok=True)
            (scratch / "key").write_text(manifest.text())
            (scratch / "key").rename(self._keys / key)

    def _by_key(self, key: str) -> Image | None:
        try:
            manifest = parse_manifest((self._keys / key).read_bytes())
        except OSError:
            return None
        image = self._load(manifest.digest) if manifest else None
        return Image(image.path, manifest) if image and manifest else None

    def _load(self, digest: str) -> Image | None:
        """Read one image; anything wrong with it counts as absent, and is built again."""
        directory = self._images / digest
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            manifest = parse_manifest((directory / "manifest.json").read_bytes())
            size = (directory / "root.erofs").stat().st_size
        except OSError:
            return None
        if manifest is None or manifest.digest != digest or manifest.size != size:
            return None
        return Image(directory / "root.erofs", manifest)

    def _matching(self, name: str) -> builtins.list[Image]:
        images = self.list()
        if named := [image for image in images if image.manifest.name == name]:
            return named
        if not _PREFIX.fullmatch(name):
            return []
        found = [image for image in images if image.manifest.digest.startswith(name)]
        if len(found) > 1:
            raise ImageError(
                f"{name} is the start of {len(found)} digests", hint="Give more of it."
            )
        return found


def _verify(image: Image) -> None:
    if _sha256(image.path) != image.manifest.digest:
        raise ImageError(
            f"image {image.manifest.name} is damaged: its contents do not match its digest",
            hint=f"Run: stockade image remove {image.manifest.digest[:12]}",
        )


def _sha256(path: Path, check: Callable[[], None] = lambda: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            check()
    return digest.hexdigest()
