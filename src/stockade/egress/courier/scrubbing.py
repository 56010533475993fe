"""Takes a secret out of a stream of bytes, however the stream is cut into chunks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stockade.egress.courier.spellings import spellings

if TYPE_CHECKING:
    from stockade.egress.credentials.secret import Secret

_MASK = b"*"


class Scrubber:
    """Replaces every spelling of a secret by as many asterisks, so that lengths stay true.

    What may be the beginning of a spelling is held back until the next chunk, and nothing else is:
    a stream of events passes without delay.
    """

    def __init__(self, secret: Secret) -> None:
        self._spellings = spellings(secret.reveal())
        self._longest = len(self._spellings[0])
        self._firsts = re.compile(
            b"[" + re.escape(bytes({spelling[0] for spelling in self._spellings})) + b"]"
        )
        self._held = b""

    def __repr__(self) -> str:
        return "<scrubber>"

    def whole(self, text: bytes) -> bytes:
        """Scrub a text that stands by itself, such as the value of a header."""
        for spelling in self._spellings:
            text = text.replace(spelling, _MASK * len(spelling))
        return text

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk and give what may go out."""
        text = self.whole(self._held + chunk)
        start = self._start_of_suspect(text)
        self._held = text[start:]
        return text[:start]

    def end(self) -> bytes:
        """Give what was held back, now that nothing follows."""
        held, self._held = self._held, b""
        return held

    def _start_of_suspect(self, text: bytes) -> int:
        """Where the longest end of ``text`` begins that a spelling begins with."""
        earliest = max(0, len(text) - self._longest + 1)
        for match in self._firsts.finditer(text, earliest):
            if any(spelling.startswith(text[match.start() :]) for spelling in self._spellings):
                return match.start()
        return len(text)
