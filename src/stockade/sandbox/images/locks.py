"""Locks: the exact version of every package that a built-in image is made of.

A lock is a text file of ``package=version`` lines; ``#`` starts a comment. The one comment with a
meaning is ``# epoch=SECONDS``: when the lock was made, which becomes the time of generated files.
``python -m stockade.sandbox.images.relock`` writes the locks anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from stockade.model.errors import ImageError
from stockade.sandbox.images.manifest import Drift

# Debian Policy 5.6.1 and 5.6.12.
_LINE = re.compile(r"([a-z0-9][a-z0-9+.-]+)=([0-9A-Za-z.+:~-]+)")
_EPOCH = re.compile(r"#\s*epoch=(\d{1,12})\s*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True)
class Lock:
    """Package versions, and the time that stands for "now" in a build made from them."""

    versions: dict[str, str]
    epoch: int = 0

    def drift(self, built: dict[str, str]) -> tuple[Drift, ...]:
        """Say in which packages what was built differs from this lock."""
        return tuple(
            Drift(package=name, locked=self.versions.get(name), built=built.get(name))
            for name in sorted(self.versions.keys() | built.keys())
            if self.versions.get(name) != built.get(name)
        )

    def preferences(self) -> str:
        """Return apt preferences that select these versions wherever the mirror has them.

        Above 1000 a version wins even against a newer one; a version that the mirror does not have
        has no effect, so the build goes on with what there is.
        """
        return "\n".join(
            f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n"
            for name, version in sorted(self.versions.items())
        )

    def text(self) -> str:
        """Return the lock as a file."""
        lines = [f"{name}={version}" for name, version in sorted(self.versions.items())]
        return "\n".join([f"# epoch={self.epoch}", *lines, ""])


def parse_lock(text: str, *, name: str = "lock") -> Lock:
    """Read a lock; a line that is neither a package nor a comment raises ImageError."""
    versions: dict[str, str] = {}
    epoch = 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if match := _EPOCH.fullmatch(line):
            epoch = int(match[1])
        elif line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None or match[1] in versions:
                what = "a package twice" if match else "no package=version"
                raise ImageError(f"{name}, line {number}: {what}: {line[:80]!r}")
            versions[match[1]] = match[2]
    return Lock(versions, epoch)


def load_lock(name: str) -> Lock:
    """Read a lock that comes with Stockade; one that is missing counts as empty."""
    file = resources.files("stockade.sandbox.images") / "locks" / f"{name}.lock"
    return parse_lock(file.read_text("ascii"), name=file.name) if file.is_file() else Lock({})
