"""What the user reads on standard error, one line each, whatever the values hold."""

from __future__ import annotations

import sys


def complain(message: str, hint: str = "") -> None:
    """Say that something did not work, and what to do about it."""
    end = "" if not hint or message.endswith((".", "?", "!")) else "."
    say(f"{message}{end} {hint}".strip() if hint else message)


def say(message: str) -> None:
    """Print one line, each unprintable character replaced: it may come from inside the wall."""
    print(f"stockade: {printable(message)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Replace each character that is not to be shown, also the ends of lines."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
