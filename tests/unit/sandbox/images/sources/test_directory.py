from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.prepare import prepare
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.images.sources.directory import DirectoryImage

_LONG_AGO = 1_000_000_000


def _key(path: Path) -> str:
    return anyio.run(DirectoryImage(path).key)


def test_its_name_is_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert DirectoryImage(Path("root")).name == f"dir:{tmp_path}/root"


def test_an_unchanged_tree_has_the_same_key(tree: Path) -> None:
    (tree / "hello").read_text()
    assert _key(tree) == _key(tree)


def _change_content(tree: Path) -> None:
    # As much, and with the time put back: only the change time tells.
    (tree / "hello").write_text("HELLO\n")
    os.utime(tree / "hello", (_LONG_AGO, _LONG_AGO))


def _add(tree: Path) -> None:
    (tree / "etc" / "new").touch()


def _remove(tree: Path) -> None:
    (tree / "etc" / "motd").unlink()


def _rename(tree: Path) -> None:
    (tree / "hello").rename(tree / "bye")


def _retarget(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("etc/pwned")


def _change_mode(tree: Path) -> None:
    (tree / "hello").chmod(0o4755)


def _change_mode_of_the_root(tree: Path) -> None:
    tree.chmod(0o700)


def _touch(tree: Path) -> None:
    os.utime(tree / "etc", (_LONG_AGO + 1, _LONG_AGO + 1))


def _replace_by_fifo(tree: Path) -> None:
    (tree / "hello").unlink()
    os.mkfifo(tree / "hello")


@pytest.mark.parametrize(
    "change",
    [
        _change_content,
        _add,
        _remove,
        _rename,
        _retarget,
        _change_mode,
        _change_mode_of_the_root,
        _touch,
        _replace_by_fifo,
    ],
)
def test_a_changed_tree_has_another_key(tree: Path, change: Callable[[Path], None]) -> None:
    os.utime(tree / "hello", (_LONG_AGO, _LONG_AGO))
    before = _key(tree)
    change(tree)
    assert _key(tree) != before


def test_two_trees_have_two_keys(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "copy", symlinks=True)
    assert _key(tree) != _key(tmp_path / "copy")


def test_names_cannot_be_moved_about_to_give_the_same_key(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b\n(1, 2, 3)").touch()
    before = _key(tmp_path / "a")
    (tmp_path / "a" / "b\n(1, 2, 3)").rename(tmp_path / "a" / "b")
    assert _key(tmp_path / "a") != before


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nowhere", "does not exist"),
        ("file", "is not a directory"),
        ("fifo", "is not a directory"),
        ("dangling", "does not exist"),
        ("n" * 300, "File name too long"),
        ("loop", "does not exist|Too many levels"),
    ],
)
def test_what_is_no_directory_is_refused(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ImageError, match=what):
        _key(tmp_path / name)


def test_what_this_user_may_not_read_is_named(tree: Path, ordinarily: Callable[..., str]) -> None:
    code = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.sources.directory import DirectoryImage
for path in map(Path, sys.argv[1:]):
    try:
        anyio.run(DirectoryImage(path).key)
    except ImageError as error:
        print(error)
"""
    (tree / "etc").chmod(0o000)
    lines = ordinarily(code, tree, tree / "etc" / "below").splitlines()
    (tree / "etc").chmod(0o755)
    assert lines == [
        f"image dir:{tree}: cannot read '{tree}/etc': Permission denied",
        f"image dir:{tree}/etc/below: cannot read '{tree}/etc/below': Permission denied",
    ]


@pytest.mark.usefixtures("cache")
def test_the_image_holds_the_tree(tree: Path, extract: Callable[[Path], Path]) -> None:
    image = anyio.run(prepare, f"dir:{tree}")
    out = extract(image.path)
    assert (out / "etc" / "motd").read_text() == "welcome\n"
    assert (out / "link").readlink() == Path("etc/motd")
    assert image.manifest.architecture in {"amd64", "arm64"}
    assert (image.manifest.env, image.manifest.workdir) == ({}, "/")


@pytest.mark.usefixtures("cache")
def test_a_change_makes_another_image(tree: Path, extract: Callable[[Path], Path]) -> None:
    before = anyio.run(prepare, f"dir:{tree}")
    (tree / "hello").write_text("changed\n")
    after = anyio.run(prepare, f"dir:{tree}")
    assert (extract(after.path) / "hello").read_text() == "changed\n"
    # A machine that runs from the former one goes on.
    assert (extract(before.path) / "hello").read_text() == "hello\n"


@pytest.mark.usefixtures("cache")
def test_a_hostile_tree_is_packed_without_being_followed_or_opened(
    tree: Path, tmp_path: Path, inode: Callable[[Path, str], str]
) -> None:
    (tmp_path / "secret").write_text("the host's secret")
    (tree / "out").symlink_to(tmp_path)
    (tree / "loop").symlink_to("loop")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
    image = anyio.run(prepare, f"dir:{tree}")
    assert b"the host's secret" not in image.path.read_bytes()
    for name in ("out", "loop", "fifo", "socket"):
        assert f"File : /{name}" in inode(image.path, f"/{name}")
    assert not inode(image.path, "/out/secret")


def test_an_ordinary_users_files_belong_to_root_in_the_image(
    tree: Path, tmp_path: Path, ordinarily: Callable[..., str], inode: Callable[[Path, str], str]
) -> None:
    code = """
import anyio, sys
from pathlib import Path
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.images.sources.directory import DirectoryImage
tree, target = map(Path, sys.argv[1:])
anyio.run(DirectoryImage(tree).build, target, target.parent, Silent())
"""
    ordinarily(code, tree, tmp_path / "root.erofs")
    for path in ("/", "/etc/motd", "/link"):
        assert "Uid: 0   Gid: 0" in inode(tmp_path / "root.erofs", path)


def test_a_tree_that_goes_before_it_is_packed_leaves_nothing(
    cache: Cache, tree: Path, progress: Progress
) -> None:
    class Thief(Silent):
        def stage(self, title: str, done: float | None) -> None:
            if title.startswith("packing"):
                shutil.rmtree(tree)

    with pytest.raises(ImageError, match=f"cannot pack {tree}"):
        anyio.run(prepare, f"dir:{tree}", Thief())
    assert list((cache.root / "tmp").iterdir()) == []
    assert not (cache.root / "images").exists()
