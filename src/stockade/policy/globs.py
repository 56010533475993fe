"""Matching the patterns of profiles, in time that hostile text cannot blow up.

``*`` stands for any characters but ``/``, ``?`` for one of those, and ``**``, alone between
slashes, for any number of segments, none included: ``/a/**`` is ``/a`` and all below it. No
wildcard stands for a segment ``.`` or ``..``, so text that is not a normalised path cannot climb.
Characters are compared as they are: no case, no Unicode form is folded.

Each pattern becomes a regular expression in which whatever precedes a wildcard is found leftmost
and never tried again (an atomic group). That is right because between two wildcards of a kind all
has a fixed shape, and it leaves nothing to backtrack: the work is at most the length of the text
times that of the pattern.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby

_ANY = "[^/]"
_END = r"(?=/|\Z)"
_NO_DOTS = rf"(?!\.\.?{_END})"


@lru_cache(maxsize=8192)
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern; ``fullmatch`` of the result tells whether a text matches."""
    parts = pattern.split("/")
    runs = [
        (deep, [_segment(part) for part in group])
        for deep, group in groupby(parts, key=lambda part: part == "**")
    ]
    # Every segment is written with the slash before it; the first, with none, gets a start.
    expression = ""
    for index, (deep, segments) in enumerate(runs):
        last = index == len(runs) - 1
        if deep:
            step = rf"(?:/{_NO_DOTS}{_ANY}*)"
            expression += rf"{step}*+" if last else ""
            continue
        run = "".join(f"/{segment}" for segment in segments)
        if index == 0:
            expression += f"(?>{run})"
        elif last:
            # What ends the text is found from its end: skip ahead to where so many segments remain.
            rest = rf"(?=(?:/{_ANY}*){{{len(segments)}}}\Z)"
            expression += rf"(?>(?:(?!{rest})/{_NO_DOTS}{_ANY}*)*+){run}"
        else:
            expression += rf"(?>(?:/{_NO_DOTS}{_ANY}*)*?{run})"
    return re.compile(expression + r"\Z", re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Tell whether ``text`` matches ``pattern``."""
    # The slash stands for the start, before the first segment of both.
    return compiled(pattern).match("/" + text) is not None


def _segment(part: str) -> str:
    """One segment; two stars within it are one."""
    chunks = re.split(r"\*+", part)
    if len(chunks) == 1 and "?" not in part:
        return re.escape(part) + _END
    shapes = ["".join(_ANY if c == "?" else re.escape(c) for c in chunk) for chunk in chunks]
    first, *others = shapes
    expression = _NO_DOTS + first
    for index, shape in enumerate(others):
        if index < len(others) - 1:
            expression += rf"(?>{_ANY}*?{shape})"
        else:
            expression += _tail(shape, len(re.sub(r"\\(.)|\[\^/\]", "x", shape)))
    return expression + _END


def _tail(shape: str, length: int) -> str:
    # The last chunk ends the segment: take all of it, then look back over the chunk alone.
    if not length:
        return rf"{_ANY}*+"
    return rf"(?={_ANY}{{{length}}}){_ANY}*+(?<={shape})"
