"""oci placeholder."""
from __future__ import annotations
from pathlib import Path
from stockade.sandbox.images.manifest import ImageFacts
from stockade.sandbox.images.progress import Progress
class OciImage:
    def __init__(self, ref: str) -> None: self.ref=ref
    @property
    def name(self) -> str: return "oci:"+self.ref
    async def key(self) -> str: raise NotImplementedError
    async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts: raise NotImplementedError
