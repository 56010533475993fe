"""Errors a user can act on.

Each says what happened and to which value; ``hint`` says what to do about it. The command line
prints them as one line and never as a traceback.
"""

from __future__ import annotations


class StockadeError(Exception):
    """Stockade could not do what was asked.

    ``str(error)`` is the message, one line without a final period; ``hint`` is an imperative
    sentence or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(StockadeError):
    """The request itself is malformed: a bad duration, an unknown option, a missing command."""


class ProfileError(StockadeError):
    """A profile cannot be read or breaks a rule; the message starts with file and line."""


class MissingToolError(StockadeError):
    """A program that Stockade starts is not installed; the hint is the command that installs it."""


class ImageError(StockadeError):
    """A guest image cannot be found, built, verified or removed."""


class MachineError(StockadeError):
    """The machine did not start, broke the protocol or ended before its work did."""


class MachineKilledError(MachineError):
    """A person ended the machine by ``stockade kill``."""


class RequestError(StockadeError):
    """The agent in the machine refused or failed one request; the machine itself goes on.

    ``kind`` is the name of the system's error, such as ``ENOENT`` (errno(3)).
    """

    def __init__(self, message: str, *, kind: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class CredentialError(StockadeError):
    """A secret cannot be read; the message names where it is kept and never what it is."""
