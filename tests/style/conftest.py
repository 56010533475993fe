"""What the style tests look at: the files that are, or are about to be, in the repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the folder of the repository."""
    return _ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Give every file that git tracks or would add, relative to the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout, so there is no telling which files are the project's")
    names = listing.stdout.decode("utf-8", errors="surrogateescape").split("\0")
    # What git still lists may be gone from the folder, and a link is not a file of its own.
    paths = (Path(name) for name in sorted(set(names)) if name)
    return [path for path in paths if (_ROOT / path).is_file() and not (_ROOT / path).is_symlink()]


@pytest.fixture(scope="session")
def texts(files: list[Path]) -> dict[Path, str]:
    """Give the content of those files that are text."""
    contents = {path: (_ROOT / path).read_bytes() for path in files}
    return {
        path: content.decode("utf-8", errors="replace")
        for path, content in contents.items()
        if b"\0" not in content
    }
