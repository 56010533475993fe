"""Options that several subcommands share, and the profile that they add up to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from stockade.model.errors import ProfileError, UsageError
from stockade.model.profile import FileGrant, Profile

if TYPE_CHECKING:
    from stockade.model.limits import Limits

ProfileOption = Annotated[
    Path | None, Parameter(name=["--profile", "-p"], help="Profile (YAML) to run under.")
]
ImageOption = Annotated[
    str | None,
    Parameter(name="--image", help="Image: a built-in name, dir:FOLDER or oci:REFERENCE."),
]
FileOption = Annotated[
    list[str] | None,
    Parameter(
        name=["--file", "-f"],
        help="HOST:GUEST[:read|overlay]: a copy of a host file or folder. Repeatable.",
    ),
]
EnvOption = Annotated[
    list[str] | None,
    Parameter(name=["--env", "-e"], help="NAME=VALUE for the command's environment. Repeatable."),
]
LimitOption = Annotated[
    list[str] | None,
    Parameter(
        name=["--limit", "-l"],
        help="NAME=VALUE, such as memory=1GiB; names as under `limits` in a profile. Repeatable.",
    ),
]
TimeoutOption = Annotated[
    str | None, Parameter(name="--timeout", help="Wall time of the command, such as 90s or 10m.")
]


def build_profile(
    *,
    profile: Path | None,
    image: str | None,
    files: list[str] | None,
    env: list[str] | None,
    limits: list[str] | None,
    timeout: str | None,
) -> Profile:
    """Read the profile, if one is named, and lay the options of the command line over it."""
    base = _read(profile) if profile else Profile()
    return base.amend(
        image=image,
        files=[FileGrant.parse(text) for text in files or ()],
        env=dict(_assignment(text) for text in env or ()),
        limits=_limits(base.limits, limits or [], timeout),
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
