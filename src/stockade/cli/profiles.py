"""The profile that the options of a command line add up to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import ProfileError, UsageError
from stockade.model.profile import FileGrant, Profile

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.model.limits import Limits


def build_profile(options: Namespace) -> Profile:
    """Read the profile, if one is named, and lay the options of the command line over it."""
    base = _read(Path(options.profile)) if options.profile is not None else Profile()
    return base.amend(
        image=options.image,
        files=[FileGrant.parse(text) for text in options.file or ()],
        env=dict(_assignment(text) for text in options.env or ()),
        limits=_limits(base.limits, options.limit or [], options.timeout),
    )


def _read(path: Path) -> Profile:
    from stockade.policy.document import MAX_BYTES, parse_profile

    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"cannot read profile {str(path)!r}: {error.strerror}") from None
    return parse_profile(text, source=str(path), base=path.absolute().parent)


def _limits(base: Limits, changes: list[str], timeout: str | None) -> Limits:
    limits = base.override_each(changes)
    return limits.override(wall_time=timeout) if timeout is not None else limits


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{text!r} is not a variable", hint="Write NAME=VALUE.")
    return name, value
