"""A secret that shows itself to nobody who does not ask for it."""

from __future__ import annotations

import hmac
from typing import NoReturn

from stockade.model.errors import CredentialError

MIN_LENGTH = 8
"""Characters. A shorter secret could not be told from ordinary text in what upstreams answer."""
MAX_LENGTH = 16 * 1024


class Secret:
    """A piece of text without a representation: not in messages, logs, pickles or copies.

    It cannot guard against code of this process that means to read it, nor wipe memory.
    """

    __slots__ = ("__reveal",)

    def __init__(self, text: str, *, origin: str) -> None:
        """Hold ``text``; CredentialError, which names ``origin`` alone, if it cannot be one."""
        if len(text) < MIN_LENGTH:
            raise CredentialError(
                f"the secret from {origin} has fewer than {MIN_LENGTH} characters",
                hint="Use a longer one; so short a text could not be kept out of responses.",
            )
        if len(text) > MAX_LENGTH:
            raise CredentialError(
                f"the secret from {origin} has more than {MAX_LENGTH} characters",
                hint="Name the place that holds the secret alone.",
            )
        if not text.isprintable():
            raise CredentialError(
                f"the secret from {origin} has characters that cannot be printed",
                hint="A secret is one line of text; encode binary keys, with base64 for example.",
            )

        # In a closure, so that no walk over attributes comes upon it.
        def reveal() -> str:
            return text

        self.__reveal = reveal

    def reveal(self) -> str:
        """The text itself: hold it no longer than it takes to send it."""
        return self.__reveal()

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would tell of the content

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")
