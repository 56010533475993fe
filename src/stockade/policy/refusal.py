"""What is turned away before any rule is asked, because it has no one clear meaning."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - a word on an action, not a failure
    """``str()`` says in a few words what is wrong; ``hint`` says what would be right, if clear."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint
