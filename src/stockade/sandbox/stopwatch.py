"""Time as a session's commands have it: it does not pass while the session is paused."""

from __future__ import annotations

import time


class Stopwatch:
    """Seconds since it was made, without those spent paused."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._paused_for = 0.0
        self._paused_at: float | None = None

    @property
    def paused(self) -> bool:
        """Whether time stands still."""
        return self._paused_at is not None

    def now(self) -> float:
        """Seconds that have passed."""
        until = time.monotonic() if self._paused_at is None else self._paused_at
        return until - self._started - self._paused_for

    def pause(self) -> None:
        """Stop; fine when it has stopped."""
        if self._paused_at is None:
            self._paused_at = time.monotonic()

    def go_on(self) -> None:
        """Go on; fine when it runs."""
        if self._paused_at is not None:
            self._paused_for += time.monotonic() - self._paused_at
            self._paused_at = None
