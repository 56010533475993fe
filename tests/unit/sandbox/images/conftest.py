"""Real trees and images, and stand-ins for programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.kit import get_kit
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable

# mmdebstrap needs a network. This one unpacks what the user's own kit is made of.
_UNPACK = """
for argument; do
    case $argument in
        --setup-hook=*) mkdir -p "$TMPDIR/etc/apt/preferences.d"
            sh -c "${argument#*-hook=}" sh "$TMPDIR" || exit 1;;
        --extract-hook=*) sh -c "${argument#*-hook=}" sh 'ROOT' || exit 1;;
    esac
done
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Give an empty cache, which is also the user's for as long as the test runs."""
    root = tmp_path / "cache"
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(root))
    return Cache(root)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a small root directory."""
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "motd").write_text("welcome\n")
    (tree / "hello").write_text("hello\n")
    (tree / "link").symlink_to("etc/motd")
    return tree


@pytest.fixture(scope="session")
def kit() -> Path:
    """Give the kit that every machine on this host boots from; `make test` has built it."""
    return anyio.run(get_kit, Cache(cache_dir()), Silent())


@pytest.fixture
def extract(tmp_path: Path) -> Callable[[Path], Path]:
    """Give a way to unpack an image; fsck.erofs checks all of it on the way."""

    def unpack(image: Path) -> Path:
        target = tmp_path / f"extracted-{len(list(tmp_path.glob('extracted-*')))}"
        subprocess.run(["fsck.erofs", f"--extract={target}", image], check=True)
        return target

    return unpack


@pytest.fixture
def inode() -> Callable[[Path, str], str]:
    """Give a way to ask dump.erofs about one file of an image; empty if it is not there."""

    def dump(image: Path, path: str) -> str:
        argv = ["dump.erofs", f"--path={path}", str(image)]
        return subprocess.run(argv, check=False, capture_output=True, text=True).stdout

    return dump


@pytest.fixture
def stages() -> list[tuple[str, float | None]]:
    """Give the steps that ``progress`` is told of."""
    return []


@pytest.fixture
def warnings() -> list[str]:
    """Give the warnings that ``progress`` is told of."""
    return []


@pytest.fixture
def progress(stages: list[tuple[str, float | None]], warnings: list[str]) -> Progress:
    class Recorder:
        def stage(self, title: str, done: float | None) -> None:
            stages.append((title, done))

        def warn(self, text: str) -> None:
            warnings.append(text)

    return Recorder()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Give a way to put a shell script in the place of a program."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def without_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the host's programs away."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("stockade.sandbox.images.programs._SYSTEM_PATH", str(tmp_path))


@pytest.fixture
def packages(kit: Path, tmp_path: Path, program: Callable[[str, str], Path]) -> Path:
    """Give a tree like that of the runtime's packages, which mmdebstrap's stand-in unpacks."""
    root = tmp_path / "packages"
    shutil.copytree(kit / "tree", root, symlinks=True)
    (root / "boot").mkdir()
    shutil.copyfile(kit / "vmlinuz", root / "boot" / "vmlinuz-6.1")
    modules = root / "lib" / "modules" / "6.1" / "kernel"
    shutil.copytree(kit / "modules", modules)
    (modules / "order").unlink()
    (root / "bin").mkdir()
    shutil.copyfile(kit / "busybox", root / "bin" / "busybox")
    archives = root / "var" / "cache" / "apt" / "archives"
    archives.mkdir(parents=True)
    for name in (
        "bash_5.2_amd64",
        "python3-minimal_1%3a3.11.2_amd64",
        "libc6_2.36-9+deb12u9_amd64",
    ):
        (archives / f"{name}.deb").touch()
    program("mmdebstrap", _UNPACK.replace("ROOT", str(root)))
    return root
