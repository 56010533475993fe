from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stockade.guest import exact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WRITE = """
import os, sys
from stockade.guest import exact
exact.replace(os.fsencode(sys.argv[1]), 0o640)
"""


def _path(path: Path) -> bytes:
    return os.fsencode(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path.resolve()
    (tree / "d").mkdir()
    (tree / "d/f").write_bytes(b"content")
    (tree / "to-f").symlink_to("d/f")
    (tree / "to-d").symlink_to(tree / "d")
    (tree / "dangling").symlink_to("none/here")
    (tree / "loop").symlink_to("loop")
    return tree


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("d/f", "d/f"),
        ("to-f", "d/f"),
        ("to-d/f", "d/f"),
        ("to-d/../to-f", "d/f"),
        ("./d//f", "d/f"),
        ("d/", "d"),
        ("d/.", "d"),
        ("dangling", "none/here"),
        ("none/x/y", "none/x/y"),
        ("d/new", "d/new"),
        ("to-d/../new", "new"),
    ],
)
def test_links_are_followed_as_the_kernel_would(tree: Path, path: str, leads: str) -> None:
    assert exact.resolve(_path(tree) + b"/" + path.encode()) == _path(tree / leads)
    if (tree / path).exists():
        assert exact.resolve(_path(tree) + b"/" + path.encode()) == os.path.realpath(
            _path(tree) + b"/" + path.encode()
        )


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("loop", OSError),
        ("d/f/x", NotADirectoryError),
        ("d/f/", NotADirectoryError),
        ("d/f/..", NotADirectoryError),
        ("none/../d/f", FileNotFoundError),
        ("x" * 256, OSError),
    ],
)
def test_where_the_kernel_would_fail_it_fails(
    tree: Path, path: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        exact.resolve(_path(tree) + b"/" + path.encode())


def test_the_root_is_its_own_parent() -> None:
    assert exact.resolve(b"/") == exact.resolve(b"/../..") == b"/"


def test_links_of_proc_are_not_followed() -> None:
    for path in (b"/proc/self/root/etc", b"/proc/self/cwd", b"/proc/self"):
        with pytest.raises(OSError, match="Leads through a link in /proc"):
            exact.resolve(path)


def test_a_file_is_opened_by_just_its_path(tree: Path) -> None:
    with os.fdopen(exact.open_file(_path(tree / "d/f")), "rb") as file:
        assert file.read() == b"content"
    for path in (tree / "to-f", tree / "to-d/f", tree / "d"):
        with pytest.raises(OSError, match=r"symbolic link|Is a directory|levels"):
            exact.open_file(_path(path))
    with pytest.raises(OSError, match="Not a resolved path"):
        exact.open_file(_path(tree) + b"/d/../d/f")


def test_what_is_no_file_with_one_name_is_refused(tree: Path) -> None:
    os.link(tree / "d/f", tree / "second")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "s"))
        for name, words in (("second", "2 names"), ("fifo", "Not a regular"), ("s", "No such dev")):
            with pytest.raises(OSError, match=words):
                exact.open_file(_path(tree / name))


@pytest.mark.parametrize(
    "path", ["/proc/version", "/sys/kernel/notes", "/dev/null", "/proc", "/dev"]
)
@pytest.mark.parametrize("use", [exact.open_file, exact.open_listed])
def test_the_kernels_own_folders_are_refused(use: Callable[[bytes], int], path: str) -> None:
    with pytest.raises(PermissionError, match="Tools do not go into"):
        use(path.encode())


def _write(path: Path, data: bytes = b"new") -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-c", _WRITE, str(path)]
    return subprocess.run(argv, input=data, capture_output=True, check=False)


def test_a_file_is_replaced_whole_and_keeps_its_mode(tree: Path) -> None:
    (tree / "d/f").chmod(0o4751)
    assert _write(tree / "d/f").returncode == 0
    assert (tree / "d/f").read_bytes() == b"new"
    assert (tree / "d/f").stat().st_mode & 0o7777 == 0o751
    assert _write(tree / "a/b/c").returncode == 0
    assert (tree / "a/b/c").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in (tree / "d").iterdir()] == ["f"]


def test_what_must_not_be_replaced_stays_and_nothing_is_left(tree: Path) -> None:
    os.link(tree / "d/f", tree / "second")
    os.mkfifo(tree / "fifo")
    before = sorted(tree.iterdir())
    for name in ("second", "fifo", "to-f", "to-d/f", "d", "loop", "dangling"):
        assert _write(tree / name).returncode == 1, name
    assert sorted(tree.iterdir()) == before
    assert (tree / "d/f").read_bytes() == b"content"
    assert (tree / "to-f").is_symlink()
