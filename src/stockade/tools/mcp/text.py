"""Text from inside the wall, made fit to be shown or passed on."""

from __future__ import annotations

_CUT = "\n[... cut]"


def printable(text: str, most: int = 500, *, keep: str = "") -> str:
    """Give ``most`` characters at most, those that would not print replaced, but for ``keep``."""
    return "".join(
        c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text[:most]
    )


def well_formed(text: str) -> str:
    """Give the text with what cannot be encoded replaced; a lone surrogate is what JSON lets in."""
    return text.encode("utf-8", "replace").decode()


def cut(text: str, most: int) -> str:
    """Give as much of the text as ``most`` bytes of UTF-8 hold, and say so if that is not all."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode()
    return encoded[:most].decode("utf-8", "ignore") + _CUT
