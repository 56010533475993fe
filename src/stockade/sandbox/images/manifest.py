"""What is known about an image: the ``manifest.json`` beside each ``root.erofs``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Drift(_Frozen):
    """One package whose version is not the locked one; None stands for "not there"."""

    package: str
    locked: str | None
    built: str | None


class ImageFacts(_Frozen):
    """What a source knows about the image that it built."""

    architecture: str = "amd64"
    packages: dict[str, str] = {}
    env: dict[str, str] = {}
    workdir: str = "/"
    drift: tuple[Drift, ...] = ()


class ImageManifest(ImageFacts):
    """What the store knows about an image; ``digest`` is the SHA-256 of its ``root.erofs``."""

    format: Literal[1] = 1
    digest: Digest
    name: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=0)]
    created: AwareDatetime

    @classmethod
    def of(cls, facts: ImageFacts, *, digest: str, name: str, size: int) -> ImageManifest:
        """Complete a source's facts with the store's."""
        return cls(
            **dict(facts),
            digest=digest,
            name=name,
            size=size,
            created=datetime.now(UTC).replace(microsecond=0),
        )

    def text(self) -> str:
        """Return the manifest as a file."""
        return self.model_dump_json(indent=2) + "\n"


def parse_manifest(text: str | bytes) -> ImageManifest | None:
    """Read a manifest; None if it is damaged or of another format."""
    try:
        return ImageManifest.model_validate_json(text)
    except ValidationError:
        return None
