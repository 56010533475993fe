from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import remove_tree
from stockade.sandbox.images.tree import Survey, first_unreadable, survey, walk

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTHING: frozenset[bytes] = frozenset()
_GIB = 1024**3


def _names(tree: Path, *excluded: bytes) -> list[bytes]:
    return [name for name, _ in walk(tree, frozenset(excluded))]


def test_everything_is_found_in_order_each_directory_before_its_contents(tree: Path) -> None:
    (tree / "etc" / "a").mkdir()
    (tree / "etc" / "a" / "x").touch()
    assert _names(tree) == [b"etc", b"hello", b"link", b"etc/a", b"etc/motd", b"etc/a/x"]


def test_what_is_excluded_is_left_out_with_all_below_it(tree: Path) -> None:
    (tree / "etc.d").touch()
    assert _names(tree, b"etc") == [b"etc.d", b"hello", b"link"]
    assert _names(tree, b"etc/motd", b"nope") == [b"etc", b"etc.d", b"hello", b"link"]


def test_symbolic_links_are_never_followed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "out").symlink_to("/")
    (tree / "loop").symlink_to(".")
    (tree / "dangling").symlink_to("nowhere")
    assert _names(tree) == [b"dangling", b"loop", b"out"]
    assert all(stat.S_ISLNK(found.st_mode) for _, found in walk(tree))


def test_names_need_not_be_text(tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"a\nb", b"-rf", "\u202e".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    assert _names(tmp_path) == sorted(names)


def test_a_deep_tree_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    depth = 1100
    for level in range(depth):
        os.mkdir(f"{tmp_path}/{'d/' * level}d")  # noqa: PTH102 - pathlib cannot go as deep
    found = len(_names(tmp_path))
    # Now, for what removes old folders of tests cannot go as deep either.
    remove_tree(tmp_path / "d")
    assert found == depth


def test_a_survey_counts_files_and_bytes_but_no_blocks(tree: Path) -> None:
    assert survey(tree, _NOTHING, _GIB) == Survey(files=4, size=14, sparse=False)


def test_a_hole_counts_in_full_and_is_noticed(tree: Path) -> None:
    with (tree / "hole").open("wb") as file:
        file.truncate(2 * 1024**2)
    assert survey(tree, _NOTHING, _GIB) == Survey(files=5, size=2 * 1024**2 + 14, sparse=True)


def test_nothing_but_regular_files_has_a_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    # Opening either would wait for ever, or fail.
    assert survey(tmp_path, _NOTHING, 0) == Survey(files=2, size=0, sparse=False)


def test_a_tree_may_be_as_large_as_the_limit_and_not_a_byte_larger(tree: Path) -> None:
    assert survey(tree, _NOTHING, 14).size == 14
    with pytest.raises(ImageError, match="it holds more than") as caught:
        survey(tree, _NOTHING, 13)
    assert caught.value.hint == "Leave out what the guest does not need."
    assert survey(tree, frozenset({b"hello"}), 13).size == 8


def test_a_file_far_larger_than_the_disk_is_refused_at_once(tree: Path) -> None:
    with (tree / "hole").open("wb") as file:
        file.truncate(8 * 1024**4)
    with pytest.raises(ImageError, match="more than 16 GiB"):
        survey(tree, _NOTHING, 16 * _GIB)


def test_names_that_erofs_cannot_hold_are_refused(tree: Path) -> None:
    (tree / ("n" * 254)).touch()
    survey(tree, _NOTHING, _GIB)
    (tree / ("n" * 255)).touch()
    with pytest.raises(ImageError, match=r"the name of 'n{40}\.\.\.n{15}' is too long"):
        survey(tree, _NOTHING, _GIB)


def test_paths_that_erofs_cannot_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "d"
    top.mkdir()
    monkeypatch.chdir(top)
    # Step by step, for no system call takes a path as long as this one gets.
    for _ in range(40):
        Path("d" * 100).mkdir()
        os.chdir("d" * 100)
    Path("d" * 100).mkdir()
    with pytest.raises(ImageError, match="is too long"):
        survey(top, _NOTHING, _GIB)
    monkeypatch.undo()


@pytest.mark.parametrize("kind", ["missing", "file", "dangling"])
def test_what_is_no_directory_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tree"
    if kind == "file":
        path.touch()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    with pytest.raises(ImageError, match="it is not a directory"):
        survey(path, _NOTHING, _GIB)


def test_a_path_that_cannot_be_looked_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="File name too long"):
        survey(tmp_path / ("n" * 300), _NOTHING, _GIB)


def test_a_directory_that_cannot_be_read_is_named(
    tree: Path, ordinarily: Callable[..., str]
) -> None:
    (tree / "etc").chmod(0o000)
    code = """
import sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.tree import survey
try:
    survey(Path(sys.argv[1]), frozenset(), 1000)
except ImageError as error:
    print(error)
"""
    said = ordinarily(code, tree)
    (tree / "etc").chmod(0o755)
    assert said == f"cannot pack {tree}: '{tree}/etc': Permission denied\n"


def test_the_first_file_that_cannot_be_read_is_found(
    tree: Path, ordinarily: Callable[..., str]
) -> None:
    (tree / "etc" / "motd").chmod(0o200)
    (tree / "hello").chmod(0o200)
    code = """
import sys
from pathlib import Path
from stockade.sandbox.images.tree import first_unreadable
tree = Path(sys.argv[1])
print(first_unreadable(tree, frozenset()), first_unreadable(tree, frozenset({b"hello"})))
"""
    assert ordinarily(code, tree) == "b'hello' b'etc/motd'\n"


def test_where_all_can_be_read_there_is_none_to_name(tree: Path) -> None:
    assert first_unreadable(tree, _NOTHING) is None
