"""A profile as one file says it, which may lean on another file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stockade.model.profile import HostPath, Profile


class ProfileDocument(Profile):
    """What stands in a file. The profile itself is what it adds up to with those it extends."""

    extends: HostPath | None = Field(
        default=None,
        description="A profile that this one narrows; a relative path starts at this one's folder.",
    )
    widen: Annotated[bool, Field(strict=True)] = Field(
        default=False,
        description="Let this profile allow what the one that it extends does not.",
    )
