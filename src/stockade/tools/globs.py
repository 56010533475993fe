"""The globs of a grant as one regular expression, for what looks at many paths at once.

The gate decides on the folder that a search starts in; what is below it is held to the globs by
this. They mean what they mean to the policy, which a test compares.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WILD = {"*": "[^/]*", "?": "[^/]"}


def expression(globs: Sequence[str]) -> str:
    """An expression that a whole absolute path matches if one of ``globs`` does."""
    return "|".join(f"(?:{_translate(glob)})" for glob in globs)


def _translate(glob: str) -> str:
    parts = glob.removeprefix("/").split("/")
    # One "**" after another adds nothing but work.
    segments = [s for n, s in enumerate(parts) if s != "**" or parts[n - 1 : n] != ["**"]]
    if segments == ["**"]:
        return r"/[\s\S]*"
    return "".join(
        "(?:/[^/]+)*"
        if segment == "**"
        else "/" + "".join(_WILD.get(c) or re.escape(c) for c in segment)
        for segment in segments
    )
