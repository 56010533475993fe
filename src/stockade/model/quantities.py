"""Sizes and durations as people write them: `512MiB`, `1h30m`.

Units are binary; `K`, `M`, `G` and `T` mean `KiB`, `MiB`, `GiB` and `TiB`. `MB` is refused, because
half its readers take it for another number. A quantity of nothing is refused as well: everything
that takes one is a limit or a time to wait.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from stockade.model.wording import quote

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
TIB: Final = 1024 * GIB

MAX_SIZE: Final = 1024 * TIB
MAX_DURATION: Final = 365 * 86_400.0

_SIZE_UNITS: Final = {"TiB": TIB, "GiB": GIB, "MiB": MIB, "KiB": KIB, "B": 1}
_SIZE_NAMES: Final = {
    "": 1,
    **{name.lower(): factor for name, factor in _SIZE_UNITS.items()},
    **{name[0].lower(): factor for name, factor in _SIZE_UNITS.items()},
}
_SECONDS: Final = {
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}

# [0-9] and ASCII: \d takes the digits of every script, and without ASCII the Kelvin sign is a "k".
_SIZE = re.compile(r"([0-9]{1,20}) ?([A-Z]{0,3})", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(
    r"(?:{n}d)?(?:{n}h)?(?:{n}m)?(?:{n}s)?(?:{n}ms)?".format(n=r"([0-9]{1,12}(?:\.[0-9]{1,9})?)")
)
_SECONDS_ONLY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_COUNT = re.compile(r"[0-9]{1,12}")

# What the expressions above accept, for the schema that editors use.
SIZE_PATTERN: Final = r"^[0-9]{1,20} ?([BbKkMmGgTt]|[KkMmGgTt][Ii][Bb])?$"
DURATION_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms)?)+$"


def parse_size(text: str) -> int:
    """Read a number of bytes: `4096`, `64KiB`, `512M`."""
    match = _SIZE.fullmatch(text)
    factor = _SIZE_NAMES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(
            f"{quote(text)} is not a size; write a whole number and B, KiB, MiB, GiB or TiB, "
            "such as 512MiB"
        )
    size = int(match[1]) * factor
    if not 0 < size <= MAX_SIZE:
        raise ValueError(
            f"{quote(text)} is out of range; a size is more than 0 and at most 1024TiB"
        )
    return size


def parse_duration(text: str) -> float:
    """Read a number of seconds: `90`, `1.5s`, `10m`, `1h30m`, `250ms`."""
    if _SECONDS_ONLY.fullmatch(text):
        seconds = Decimal(text)
    elif text and (match := _DURATION.fullmatch(text)):
        parts = zip(match.groups(), _SECONDS.values(), strict=True)
        seconds = sum((Decimal(part) * unit for part, unit in parts if part), Decimal(0))
    else:
        raise ValueError(
            f"{quote(text)} is not a duration; write numbers with d, h, m, s or ms, the largest "
            "first, such as 10m or 1h30m"
        )
    if not 0 < seconds <= MAX_DURATION:
        raise ValueError(
            f"{quote(text)} is out of range; a duration is more than 0 and at most 365d"
        )
    return float(seconds)


def parse_count(text: str) -> int:
    """Read a whole number of things."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a whole number; write digits alone, such as 4")
    return int(text)


def format_size(size: int, *, exact: bool = True) -> str:
    """Write a number of bytes in its largest unit.

    Exact text is whole, and `parse_size` gives the number back; otherwise it has one decimal, for
    reports, such as `17.9MiB`.
    """
    if size < 0:
        raise ValueError(f"a size is never negative: {quote(size)}")
    for name, factor in _SIZE_UNITS.items():
        if size and size % factor == 0:
            return f"{size // factor}{name}"
        if not exact and size >= factor:
            return f"{size / factor:.1f}{name}"
    return "0B"


def format_duration(seconds: float) -> str:
    """Write a number of seconds, to the millisecond, in the units a person would choose."""
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a duration is never negative or endless: {quote(seconds)}")
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    text = ""
    for name, factor in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        count, milliseconds = divmod(milliseconds, factor)
        text += f"{count}{name}" if count else ""
    if milliseconds:
        text += f"{Decimal(milliseconds).scaleb(-3).normalize():f}s"
    return text
