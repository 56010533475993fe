"""Commands as profiles grant them and as agents ask for them: lists of words, never a shell's."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from stockade.model.wording import quote
from stockade.policy.globs import compiled
from stockade.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_WORDS = 1024
MAX_BYTES = 128 * 1024
"""Of a whole command, as Linux has it for one word (MAX_ARG_STRLEN)."""


class CommandPattern:
    """A granted command: one pattern a word, and a last ``**`` for any further words."""

    def __init__(self, text: str) -> None:
        """Read ``text``; quotes are a shell's (``shlex``), ``ValueError`` if they do not close."""
        self.text = text
        words = shlex.split(text)
        self._open = words[-1:] == ["**"]
        self._words = [compiled(word) for word in (words[:-1] if self._open else words)]

    def matches(self, argv: Sequence[str]) -> bool:
        """Tell whether ``argv`` is this command, word by word."""
        count = len(self._words)
        if not count or len(argv) < count or (len(argv) > count and not self._open):
            return False
        return all(
            word.match("/" + text) for word, text in zip(self._words, argv[:count], strict=True)
        )


def clean_command(value: object) -> list[str]:
    """Give the words of a command that can be run."""
    hint = "Give argv as a list of words, such as ['pytest', '-q']."
    if not isinstance(value, list | tuple) or not value:
        raise Refused(f"{quote(value)}, which is not a list of words", hint)
    if len(value) > MAX_WORDS:
        raise Refused(f"a command of more than {MAX_WORDS} words")
    words: list[str] = []
    size = 0
    for word in value:
        if not isinstance(word, str):
            raise Refused(f"{quote(word)}, which is not a word of a command", hint)
        size += len(word) + 1
        if size > MAX_BYTES:
            raise Refused(f"a command of more than {MAX_BYTES // 1024}KiB")
        words.append(word)
    text = "\n".join(words)
    if "\0" in text or not words[0]:
        raise Refused("a command with a NUL character or without a name", hint)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("a command that is not valid Unicode text") from None
    return words
