"""``debian-python``: the built-in image, made of Debian packages.

Debian 12 with Python, pytest and git, and no compiler. The workload's user is ``agent`` (1000:1000,
``/home/agent``), its work goes to ``/workspace``. ``locks/debian-python.lock`` pins the version of
every package; a build from the same versions gives the same bytes, whoever builds it.
"""

from __future__ import annotations

import hashlib
import tempfile
from importlib import resources
from typing import TYPE_CHECKING

from stockade.sandbox.images.erofs import command_options
from stockade.sandbox.images.locks import Lock, load_lock, parse_lock
from stockade.sandbox.images.manifest import Drift, ImageFacts

if TYPE_CHECKING:
    from pathlib import Path

    from stockade.sandbox.images.progress import Progress

PACKAGES = ("python3", "python3-pytest", "git", "ca-certificates", "iproute2", "procps")
_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
# Raised by whoever changes what a build does in a way that the other inputs do not show.
_VERSION = 1


class DebianPython:
    """The built-in image. ``lock`` is for relocking; it defaults to the one that comes along."""

    name = "debian-python"

    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = load_lock(self.name) if lock is None else lock

    async def key(self) -> str:
        """Return the fingerprint of lock, package list and customisation."""
        options = " ".join(map(str, command_options()))
        parts = (str(_VERSION), self._lock.text(), *PACKAGES, _hook(), options, repr(_ENV))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts:
        """Install the packages and pack them."""
        from stockade.sandbox.images.mmdebstrap import (  # noqa: PLC0415 - few runs build
            ARCHITECTURE,
            Recipe,
            bootstrap,
        )

        with target.open("w+b") as image, tempfile.TemporaryFile(dir=scratch) as packages:
            recipe = Recipe(
                variant="minbase",
                packages=PACKAGES,
                hook_stage="customize",
                hook=_hook(),
                lock=self._lock,
                variables={"EROFS_OPTIONS": " ".join(map(str, command_options()))},
            )
            await bootstrap(recipe, {"IMAGE": image, "PACKAGES": packages}, progress)
            packages.seek(0)
            built = parse_lock(packages.read().decode("ascii"), name="installed packages").versions
        drift = self._lock.drift(built)
        warn_of_drift(drift, self.name, progress)
        return ImageFacts(
            architecture=ARCHITECTURE, packages=built, env=_ENV, workdir="/workspace", drift=drift
        )


def warn_of_drift(drift: tuple[Drift, ...], what: str, progress: Progress) -> None:
    """Say in one line that a build is not the locked one."""
    if drift:
        first = ", ".join(f"{one.package} {one.built or '(gone)'}" for one in drift[:3])
        more = f" and {len(drift) - 3} more" if len(drift) > 3 else ""
        progress.warn(f"{what}: the mirror no longer has every locked version: {first}{more}")


def _hook() -> str:
    return resources.files(__package__).joinpath("debian.sh").read_text("utf-8")
