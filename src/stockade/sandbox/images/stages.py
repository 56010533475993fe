"""Turn what mmdebstrap says while it works into progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.sandbox.images.progress import Progress

# Each counted line moves the bar; the shares are those of the time measured for a full image.
_COUNTED = {"Get:": 0.20, "Unpacking ": 0.35, "Setting up ": 0.25}
_TITLES = {
    "I: running apt-get update": ("reading the package lists", 0.02),
    "I: downloading packages": ("downloading packages", 0.08),
    "I: extracting archives": ("unpacking packages", 0.20),
    "I: installing essential packages": ("installing the base system", 0.25),
    "I: installing remaining packages": ("installing packages", 0.40),
    "I: running --extract-hook": ("collecting the files", 0.90),
    "I: running --customize-hook": ("writing the image", 0.90),
    "I: cleaning": ("cleaning up", 0.97),
}


class Stages:
    """Counts packages as they are fetched, unpacked and set up; never goes backwards."""

    def __init__(self, progress: Progress, *, packages: int) -> None:
        self._progress = progress
        self._packages = max(packages, 1)
        self._seen = dict.fromkeys(_COUNTED, 0)
        self._title = "preparing"
        self._done = 0.0

    def line(self, text: str) -> None:
        """Take one line of standard error."""
        for prefix, (title, at_least) in _TITLES.items():
            if text.startswith(prefix):
                self._title = title
                self._report(at_least)
                return
        for prefix in _COUNTED:
            if text.startswith(prefix):
                self._seen[prefix] = min(self._seen[prefix] + 1, self._packages)
                shares = (
                    _COUNTED[kind] * seen / self._packages for kind, seen in self._seen.items()
                )
                self._report(0.08 + sum(shares))
                return

    def _report(self, done: float) -> None:
        self._done = max(self._done, done)
        self._progress.stage(self._title, self._done)
