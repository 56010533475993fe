from __future__ import annotations

import fcntl
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import remove_tree
from stockade.sandbox.images.erofs import FAR_FUTURE, command_options, pack

_MIB = 1024**2


def _pack(tree: Path, target: int | Path, **options: Any) -> int:
    return anyio.run(partial(pack, tree, target, **options))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "root.erofs"


def _contents(tree: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_a_tree_comes_back_as_it_was(
    tree: Path, image: Path, extract: Callable[[Path], Path]
) -> None:
    (tree / "empty").mkdir()
    (tree / "script").write_text("#!/bin/sh\n")
    (tree / "script").chmod(0o751)
    os.utime(tree / "hello", (1_500_000_000, 1_500_000_000))
    size = _pack(tree, image)
    assert size == image.stat().st_size
    out = extract(image)
    assert _contents(out) == _contents(tree)
    assert (out / "link").readlink() == Path("etc/motd")
    assert (out / "empty").is_dir()
    assert stat.S_IMODE((out / "script").stat().st_mode) & 0o700 == 0o700
    assert (out / "hello").stat().st_mtime == 1_500_000_000


@pytest.mark.parametrize("compress", [False, True])
def test_the_same_tree_gives_the_same_bytes(tree: Path, tmp_path: Path, compress: bool) -> None:
    (tree / "large").write_bytes(b"stockade" * 50_000)
    packed = []
    for name in ("a", "b"):
        _pack(tree, tmp_path / name, compress=compress)
        packed.append((tmp_path / name).read_bytes())
    assert packed[0] == packed[1]


def test_a_copy_of_a_tree_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    # Made in the other order, so that a directory read as it lies on disk would differ.
    for path in sorted(tree.rglob("*"), reverse=True):
        target = copy / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.is_file():
            target.write_bytes(path.read_bytes())
    for path in [tree, copy, *tree.rglob("*"), *copy.rglob("*")]:
        os.utime(path, (1000, 1000), follow_symlinks=False)
    _pack(tree, tmp_path / "a")
    _pack(copy, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_compression_makes_the_image_smaller_and_keeps_the_contents(
    tree: Path, tmp_path: Path, extract: Callable[[Path], Path]
) -> None:
    (tree / "large").write_bytes(b"stockade" * 50_000)
    plain = _pack(tree, tmp_path / "a")
    assert _pack(tree, tmp_path / "b", compress=True) < plain / 4
    assert _contents(extract(tmp_path / "b")) == _contents(tree)


def test_times_in_the_far_future_are_kept(
    tree: Path, image: Path, inode: Callable[[Path, str], str]
) -> None:
    os.utime(tree / "hello", (2**33, 2**33))
    _pack(tree, image)
    assert "2242-03-16" in inode(image, "/hello")
    assert int(FAR_FUTURE) > 2**33


def test_links_are_kept_as_links_wherever_they_point(
    tree: Path, image: Path, extract: Callable[[Path], Path]
) -> None:
    targets = ["/etc/shadow", "../../../../etc/shadow", ".", "nowhere", "x" * 4000]
    for number, target in enumerate(targets):
        (tree / f"link{number}").symlink_to(target)
    _pack(tree, image)
    out = extract(image)
    assert [str((out / f"link{number}").readlink()) for number in range(5)] == targets


def test_hard_links_stay_one_file(
    tree: Path, image: Path, inode: Callable[[Path, str], str]
) -> None:
    os.link(tree / "hello", tree / "etc" / "again")
    _pack(tree, image)
    assert "Links: 2" in inode(image, "/hello")
    numbers = [
        inode(image, path).partition("NID: ")[2].split()[0] for path in ("/hello", "/etc/again")
    ]
    assert numbers[0] == numbers[1]


def test_fifos_and_sockets_are_recorded_and_never_opened(
    tree: Path, image: Path, inode: Callable[[Path, str], str]
) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
    _pack(tree, image)
    assert "Access: 0" in inode(image, "/fifo")
    assert "Access: 0" in inode(image, "/socket")


@pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes, which only root may")
def test_devices_are_recorded_and_never_opened(
    tree: Path, image: Path, inode: Callable[[Path, str], str]
) -> None:
    # There is no such hardware: opening them would fail.
    try:
        os.mknod(tree / "tape", stat.S_IFCHR | 0o600, os.makedev(9, 200))
        os.mknod(tree / "disk", stat.S_IFBLK | 0o600, os.makedev(259, 200))
    except PermissionError:
        pytest.skip("this root may not make device nodes")
    _pack(tree, image)
    assert "char dev" in inode(image, "/tape")
    assert "block dev" in inode(image, "/disk")


def test_the_owner_is_who_is_named(
    tree: Path, image: Path, inode: Callable[[Path, str], str]
) -> None:
    # Beyond 16 bits, which the short form of an inode does not hold.
    _pack(tree, image, owner=(70_000, 80_000))
    for path in ("/", "/etc", "/hello"):
        assert "Uid: 70000   Gid: 80000" in inode(image, path)


def test_without_an_owner_files_keep_theirs(
    tree: Path, image: Path, inode: Callable[[Path, str], str]
) -> None:
    _pack(tree, image)
    found = (tree / "hello").stat()
    assert f"Uid: {found.st_uid}   Gid: {found.st_gid}" in inode(image, "/hello")


def test_the_rights_of_setuid_files_are_kept(
    tree: Path, image: Path, inode: Callable[[Path, str], str]
) -> None:
    (tree / "hello").chmod(0o4755)
    _pack(tree, image)
    # dump.erofs shows no more than the lowest nine bits of the mode.
    number = int(inode(image, "/hello").partition("NID: ")[2].split()[0])
    mode = image.read_bytes()[number * 32 + 4 :][:2]
    assert int.from_bytes(mode, "little") == stat.S_IFREG | 0o4755


def test_extended_attributes_are_left_out(tree: Path, tmp_path: Path) -> None:
    _pack(tree, tmp_path / "a")
    try:
        os.setxattr(tree / "hello", "user.label", b"of the host")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    _pack(tree, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_names_need_not_be_text(tmp_path: Path, image: Path) -> None:
    tree = tmp_path / "tree"
    names = [b"\xff\xfe", b"a\nb", b"-rf", b"--help", b" ", b"n" * 254]
    for name in names:
        path = Path(os.fsdecode(os.fsencode(tree) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name)
    _pack(tree, image)
    packed = image.read_bytes()
    assert all(name in packed for name in names)


def test_holes_cost_no_space_and_come_back(
    tree: Path, image: Path, extract: Callable[[Path], Path]
) -> None:
    with (tree / "hole").open("wb") as file:
        file.seek(64 * _MIB)
        file.write(b"end")
    assert _pack(tree, image) < 4 * _MIB
    out = extract(image)
    assert (out / "hole").read_bytes() == bytes(64 * _MIB) + b"end"
    assert (out / "hello").read_text() == "hello\n"


def test_what_is_excluded_is_left_out_with_all_below_it(
    tree: Path, image: Path, extract: Callable[[Path], Path]
) -> None:
    (tree / "etc.d").touch()
    (tree / os.fsdecode(b"\xff")).touch()
    # Read as a pattern, this would match everything.
    _pack(tree, image, exclude=["/etc/", b"\xff", ".*"])
    assert sorted(path.name for path in extract(image).iterdir()) == ["etc.d", "hello", "link"]


def test_a_link_to_a_tree_is_followed(
    tree: Path, image: Path, extract: Callable[[Path], Path]
) -> None:
    (tree.parent / "alias").symlink_to(tree)
    _pack(tree.parent / "alias", image)
    assert _contents(extract(image)) == _contents(tree)


def test_an_image_may_be_a_file_without_a_name(
    tree: Path, image: Path, extract: Callable[[Path], Path]
) -> None:
    with tempfile.TemporaryFile() as file:
        # Longer than the image, to see that nothing of it stays.
        file.write(b"x" * _MIB)
        file.flush()
        size = _pack(tree, file.fileno())
        assert size == os.fstat(file.fileno()).st_size
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        image.write_bytes(file.read())
    assert _contents(extract(image)) == _contents(tree)


def test_an_image_may_be_memory(tree: Path) -> None:
    descriptor = os.memfd_create("image", os.MFD_ALLOW_SEALING)
    try:
        assert _pack(tree, descriptor) == os.fstat(descriptor).st_size
        # Nothing has kept it mapped for writing.
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    finally:
        os.close(descriptor)


def test_a_tree_deeper_than_python_can_recurse_is_packed(tmp_path: Path, image: Path) -> None:
    tree = tmp_path / "d"
    for level in range(1100):
        os.mkdir(f"{tmp_path}/{'d/' * level}d")  # noqa: PTH102 - pathlib cannot go as deep
    try:
        assert _pack(tree, image) > 0
    finally:
        remove_tree(tree)


def test_a_tree_above_the_limit_leaves_no_image(tree: Path, image: Path) -> None:
    with pytest.raises(ImageError, match="it holds more than"):
        _pack(tree, image, limit=10)
    assert not image.exists()


def test_what_is_no_directory_leaves_no_image(tree: Path, image: Path) -> None:
    with pytest.raises(ImageError, match="it is not a directory"):
        _pack(tree / "hello", image)
    assert not image.exists()


def test_a_target_that_cannot_be_made_is_told(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=f"cannot pack {tree}: "):
        _pack(tree, tmp_path / "none" / "root.erofs")


def test_cancelling_leaves_no_image(
    tree: Path, image: Path, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    for number in range(40):
        (tree / f"large{number}").write_bytes(os.urandom(_MIB))

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(pack, tree, image, compress=True))
            there = partial(eventually, image.exists, "the image is begun")
            await anyio.to_thread.run_sync(there)
            tasks.cancel_scope.cancel()

    anyio.run(work)
    assert not image.exists()


_PACK = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.erofs import pack
tree, image = map(Path, sys.argv[-2:])
try:
    anyio.run(pack, tree, image)
except ImageError as error:
    print(error)
print(image.exists())
"""


def test_a_file_that_cannot_be_read_is_named(
    tree: Path, image: Path, ordinarily: Callable[..., str]
) -> None:
    (tree / "etc" / "motd").chmod(0o000)
    message, there = ordinarily(_PACK, tree, image).splitlines()
    assert message == f"cannot pack {tree}: no permission to read 'etc/motd'"
    assert there == "False"


def test_a_full_disk_is_told_and_leaves_no_image(
    tree: Path, tmp_path: Path, on_a_small_disk: Callable[..., str]
) -> None:
    (tree / "large").write_bytes(os.urandom(3 * _MIB))
    image = tmp_path / "small" / "root.erofs"
    message, there = on_a_small_disk(_PACK, tree, image).splitlines()
    assert message == f"cannot pack {tree}: no space left on the disk"
    assert there == "False"


def test_the_options_never_ask_for_both_compression_and_chunks() -> None:
    names = {
        str(option).partition("=")[0] for option in command_options(compress=True, sparse=True)
    }
    assert "-zlz4" in names
    assert "--chunksize" not in names
