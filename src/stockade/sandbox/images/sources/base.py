"""What a source of images is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from stockade.sandbox.images.manifest import ImageFacts
    from stockade.sandbox.images.progress import Progress


class ImageSource(Protocol):
    """Knows how to make one image."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    async def key(self) -> str:
        """Return a fingerprint of all that goes in: equal keys, equal images."""

    async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts:
        """Write the image to ``target``; ``scratch`` is an empty directory to work in."""
