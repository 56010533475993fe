"""Profiles from files, and the profile that the options of a command line add up to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import ProfileError, UsageError
from stockade.model.profile import FileGrant, Profile
from stockade.model.wording import quote

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.model.limits import Limits
    from stockade.policy.document import Parsed
    from stockade.policy.engine import Policy


def build_profile(options: Namespace) -> Profile:
    """Read the profile, if one is named, and lay the options of the command line over it."""
    base = read(Path(options.profile)).profile if options.profile is not None else Profile()
    return base.amend(
        image=options.image,
        files=[FileGrant.parse(text) for text in options.file or ()],
        env=dict(_assignment(text) for text in options.env or ()),
        limits=_limits(base.limits, options.limit or [], options.timeout),
    )


def read_cedar(profile: Profile) -> dict[str, str]:
    """The texts of the Cedar files that ``profile`` names, by their paths."""
    from stockade.policy.document import MAX_BYTES

    texts = {}
    for path in profile.policies:
        content = _bytes(path)
        try:
            if len(content) > MAX_BYTES:
                raise ProfileError(f"{path}: larger than {MAX_BYTES} bytes")
            texts[str(path)] = content.decode()
        except UnicodeDecodeError:
            raise ProfileError(f"{path}: not UTF-8 text") from None
    return texts


def read(path: Path) -> Parsed:
    """Read a profile with the files it names, each problem with its line in the error."""
    from stockade.policy.document import read_profile

    return read_profile(path, _bytes, base=path.absolute().parent)


def compiled(parsed: Parsed) -> Policy:
    """Make a policy of a profile that was read."""
    from stockade.policy.engine import compile_profile

    return compile_profile(parsed.profile, cedar=parsed.policies, source=parsed.source)


def _bytes(path: Path) -> bytes:
    from stockade.policy.document import MAX_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"cannot read {quote(str(path))}: {error.strerror}") from None


def _limits(base: Limits, changes: list[str], timeout: str | None) -> Limits:
    limits = base.override_each(changes)
    return limits.override(wall_time=timeout) if timeout is not None else limits


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{text!r} is not a variable", hint="Write NAME=VALUE.")
    return name, value
