"""Patterns as they are written in profiles, checked for what could not be meant.

``*`` stands for any characters but ``/``, ``?`` for one of those, and ``**``, alone between
slashes, for any number of segments. Every other character stands for itself.
"""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import AfterValidator, Field

from stockade.model.wording import quote

MAX_GLOB = 4096


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{quote(text)} must contain printable characters only")
    return text


def _segments(text: str) -> str:
    for segment in text.split("/"):
        if "**" in segment and segment != "**":
            raise ValueError(
                f"'**' must stand alone between slashes, not as in {quote(segment)}; write '*' for"
                " a part of a name"
            )
    return text


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{quote(text)} is not absolute; begin it with '/'")
    for segment in text[1:].split("/"):
        if segment in (".", ".."):
            raise ValueError(f"{quote(text)} must not contain {quote(segment)}")
    if "//" in text:
        raise ValueError(f"{quote(text)} must not contain '//'")
    return text


def _file(text: str) -> str:
    if len(text) > 1 and text.endswith("/"):
        raise ValueError(
            f"{quote(text)} matches nothing; write {quote(text + '**')} for all that is below, or"
            " leave the last '/' out"
        )
    return text


def _words(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError(f"{quote(text)} has a quote that is not closed") from None
    if not words:
        raise ValueError("names no command; write it word by word, such as 'pytest -q **'")
    if words[0] == "**":
        raise ValueError(f"{quote(text)} would be every command; name the program")
    if "**" in words[:-1]:
        raise ValueError(
            f"'**' stands for any further words and can only be the last word of {quote(text)}"
        )
    for word in words:
        _segments(word)
    return text


_Text = Annotated[str, Field(min_length=1, max_length=MAX_GLOB), AfterValidator(_printable)]

Glob = Annotated[_Text, AfterValidator(_segments)]
"""A pattern of any text."""

UrlGlob = Annotated[Glob, AfterValidator(_absolute)]
"""A pattern of the paths of URLs."""

PathGlob = Annotated[UrlGlob, AfterValidator(_file)]
"""A pattern of absolute paths in the machine."""

CommandGlob = Annotated[_Text, AfterValidator(_words)]
"""A command, word by word; a word may be a pattern, and a last ``**`` is any further words."""
