"""How a build tells its caller what it is doing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the steps of a build; called from the event loop, must return at once."""

    def stage(self, title: str, done: float | None) -> None:
        """Say what is being done now; ``done`` is the share finished, 0 to 1, if known."""

    def warn(self, text: str) -> None:
        """Say something the user should know although the build goes on."""


class Silent:
    """Tells nobody."""

    def stage(self, title: str, done: float | None) -> None:
        """Ignore the step."""

    def warn(self, text: str) -> None:
        """Ignore the warning."""


class Part:
    """One part of a larger job: maps the part's 0 to 1 onto a span of the whole."""

    def __init__(self, whole: Progress, start: float, end: float) -> None:
        self._whole = whole
        self._start = start
        self._end = end

    def stage(self, title: str, done: float | None) -> None:
        """Pass the step on, scaled."""
        share = 0.0 if done is None else min(max(done, 0.0), 1.0)
        self._whole.stage(title, self._start + (self._end - self._start) * share)

    def warn(self, text: str) -> None:
        """Pass the warning on."""
        self._whole.warn(text)
