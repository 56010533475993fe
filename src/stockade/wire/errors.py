"""What goes wrong on the wire: the peer's fault, and the two things that are nobody's.

Our own bugs (an id that was never opened, more consumed than received) are ``ValueError``.
"""

from __future__ import annotations

MAX_MESSAGE = 200
"""Most characters a :class:`ProtocolError` keeps: parts of it may be the peer's words."""


class ProtocolError(Exception):
    """The peer broke the protocol; nothing more it sends can be believed.

    The message names the rule and the value that broke it, in at most ``MAX_MESSAGE`` characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(
            message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
        )


class StreamClosedError(Exception):
    """We can send no more on this stream: we ended or reset it, or the peer reset it.

    Not a ``ValueError``, because a careful caller meets it too: the peer's reset may arrive between
    any two of its calls.
    """


class StreamLimitError(Exception):
    """No stream can be opened now: as many as both sides agreed on are live."""
