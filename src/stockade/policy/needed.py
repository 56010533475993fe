"""Which of several patterns are needed to fit what each of them was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

MAX_COMPARED = 2048
"""Patterns that are compared, each with each; of more, which no profile holds, all are kept."""

_T = TypeVar("_T")


def needed(
    patterns: Mapping[str, Collection[_T]], fits: Callable[[str, _T], bool]
) -> dict[str, Collection[_T]]:
    """Leave out patterns until each that is left fits something that no other one fits.

    ``patterns`` are given with what each was made for and fits; all of that is still fitted by
    what is left.
    """
    kept = dict(patterns)
    # A pattern without a wildcard fits nothing but what it was made for.
    wide = {pattern for pattern in kept if "*" in pattern or "?" in pattern}
    if len(kept) > MAX_COMPARED:
        return kept
    for pattern, made_for in patterns.items():
        others = wide - {pattern}
        if all(any(fits(other, one) for other in others) for one in made_for):
            del kept[pattern]
            wide.discard(pattern)
    return kept
