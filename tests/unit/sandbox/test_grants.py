"""Grants as disks, packed by the real mkfs.erofs and read back by its own fsck."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.sandbox.conftest import open_descriptors

from stockade.model.errors import StockadeError
from stockade.model.profile import Access, FileGrant
from stockade.sandbox.grants import GID, UID, GrantDisk, pack_grants

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def owned() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def _grant(host: Path, access: Access = Access.READ) -> FileGrant:
    return FileGrant(host=host, guest="/workspace", access=access)


async def _pack(host: Path, owned: ExitStack) -> GrantDisk:
    (disk,) = await pack_grants([_grant(host)], owned)
    return disk


def _extract(grant: GrantDisk, into: Path) -> Path:
    """Unpack a disk, which has no name but that of its descriptor."""
    into.mkdir()
    done = subprocess.run(
        ["fsck.erofs", f"--extract={into}", f"/proc/self/fd/{grant.disk.fd}"],
        pass_fds=[grant.disk.fd],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return into


def _tree(folder: Path) -> dict[str, object]:
    """What lies below a folder, by kind."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


async def test_a_folder_is_packed_as_it_is(source: Path, tmp_path: Path, owned: ExitStack) -> None:
    (source / "empty").mkdir()
    (source / "sub").mkdir()
    (source / "sub" / "file").write_bytes(b"text")
    (source / "sub" / "file").chmod(0o751)
    os.utime(source / "sub" / "file", (1_000_000_000, 1_000_000_000))
    grant = await _pack(source, owned)
    assert grant.message == {"disk": "files-0", "target": "/workspace", "access": "read"}
    assert grant.disk.serial == "files-0"
    unpacked = _extract(grant, tmp_path / "out")
    assert _tree(unpacked) == {"empty": None, "sub": None, "sub/file": b"text"}
    status = (unpacked / "sub" / "file").stat()
    assert stat.S_IMODE(status.st_mode) == 0o751
    assert status.st_mtime == 1_000_000_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to the guest's user")
async def test_everything_belongs_to_the_user_of_the_machine(
    source: Path, tmp_path: Path, owned: ExitStack
) -> None:
    (source / "file").touch()
    os.chown(source / "file", 4711, 4711)
    unpacked = _extract(await _pack(source, owned), tmp_path / "out")
    status = (unpacked / "file").stat()
    assert (status.st_uid, status.st_gid) == (UID, GID)


async def test_one_file_is_a_disk_with_one_file(
    source: Path, tmp_path: Path, owned: ExitStack, cache: Path
) -> None:
    odd = source / "new\nline"
    odd.write_bytes(b"#!/bin/sh\n")
    odd.chmod(0o755)
    (source / "beside").touch()
    grant = await _pack(odd, owned)
    assert grant.message["file"] == "file"
    unpacked = _extract(grant, tmp_path / "out")
    assert _tree(unpacked) == {"file": b"#!/bin/sh\n"}
    assert (unpacked / "file").stat().st_mode & 0o777 == 0o755
    # The user of the machine must be able to pass through the disk's own folder.
    assert unpacked.stat().st_mode & 0o005 == 0o005
    assert list((cache / "tmp").iterdir()) == []


async def test_disks_are_numbered_and_keep_their_access(
    source: Path, tmp_path: Path, owned: ExitStack
) -> None:
    grants = [_grant(source), _grant(source, Access.OVERLAY)]
    packed = await pack_grants(grants, owned)
    assert [grant.message["disk"] for grant in packed] == ["files-0", "files-1"]
    assert [grant.message["access"] for grant in packed] == ["read", "overlay"]


async def test_names_may_hold_any_bytes(source: Path, tmp_path: Path, owned: ExitStack) -> None:
    names = [b"new\nline", b"\xff\xfe", b" ", b"-rf", b"--exclude-path=x", b"\x1b[2J", b'"', b"\\"]
    for name in names:
        (source / os.fsdecode(name)).write_bytes(name)
    unpacked = _extract(await _pack(source, owned), tmp_path / "out")
    assert {os.fsencode(path.name): path.read_bytes() for path in unpacked.iterdir()} == {
        name: name for name in names
    }


async def test_links_inside_are_packed_as_links_wherever_they_lead(
    source: Path, tmp_path: Path, owned: ExitStack
) -> None:
    (tmp_path / "secret").write_bytes(b"not granted")
    (source / "out").symlink_to(tmp_path / "secret")
    (source / "up").symlink_to("../secret")
    (source / "folder").symlink_to(tmp_path)
    (source / "loop").symlink_to("loop")
    (source / "dangling").symlink_to("/no/such\nplace")
    unpacked = _extract(await _pack(source, owned), tmp_path / "unpacked")
    assert _tree(unpacked) == {
        "out": f"-> {tmp_path}/secret",
        "up": "-> ../secret",
        "folder": f"-> {tmp_path}",
        "loop": "-> loop",
        "dangling": "-> /no/such\nplace",
    }


async def test_a_link_that_is_named_itself_is_followed(
    source: Path, tmp_path: Path, owned: ExitStack
) -> None:
    (source / "file").write_bytes(b"text")
    (tmp_path / "folder link").symlink_to(source)
    (tmp_path / "file link").symlink_to("folder link/file")
    assert _tree(_extract(await _pack(tmp_path / "folder link", owned), tmp_path / "1")) == {
        "file": b"text"
    }
    assert _tree(_extract(await _pack(tmp_path / "file link", owned), tmp_path / "2")) == {
        "file": b"text"
    }


async def test_pipes_and_sockets_inside_are_never_opened(
    source: Path, tmp_path: Path, owned: ExitStack
) -> None:
    os.mkfifo(source / "pipe")  # opening it would wait for ever
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
        listener.listen()
        listener.setblocking(False)
        grant = await _pack(source, owned)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert os.fstat(grant.disk.fd).st_size > 0


async def test_a_socket_a_pipe_or_a_device_is_refused(source: Path, owned: ExitStack) -> None:
    os.mkfifo(source / "pipe")
    (source / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
        for path in (source / "socket", source / "pipe", source / "link", Path("/dev/zero")):
            with pytest.raises(StockadeError, match="neither a file nor a folder") as error:
                await _pack(path, owned)
            assert "stay outside" in error.value.hint


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none", "No such file"),
        ("file/below", "Not a directory"),
        ("dangling", "No such file"),
        ("loop", "Too many levels of symbolic links"),
        ("loop/below", "Too many levels of symbolic links"),
        ("n" * 256, "File name too long"),
        ("new\nline\x1b[2J", "No such file"),
    ],
)
async def test_a_path_that_leads_nowhere_is_one_clear_line(
    source: Path, owned: ExitStack, name: str, reason: str
) -> None:
    (source / "file").touch()
    (source / "dangling").symlink_to("nowhere")
    (source / "loop").symlink_to("loop")
    with pytest.raises(StockadeError, match=f"cannot give .* to the machine: {reason}") as error:
        await _pack(source / name, owned)
    assert str(error.value).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
async def test_what_this_user_cannot_read_is_one_clear_line(source: Path, owned: ExitStack) -> None:
    (source / "file").write_bytes(b"private")
    (source / "file").chmod(0)
    with pytest.raises(StockadeError, match=r"cannot read .*Permission denied"):
        await _pack(source / "file", owned)
    with pytest.raises(StockadeError, match="no permission to read"):
        await _pack(source, owned)


async def test_a_cache_that_cannot_be_written_is_one_clear_line(
    source: Path, owned: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKADE_CACHE_DIR", "/dev/null")
    with pytest.raises(StockadeError, match="cannot make a temporary file") as error:
        await _pack(source, owned)
    assert "STOCKADE_CACHE_DIR" in error.value.hint


async def test_a_disk_has_no_name_and_can_only_be_read(
    source: Path, owned: ExitStack, cache: Path
) -> None:
    grant = await _pack(source, owned)
    assert list((cache / "tmp").iterdir()) == []
    assert fcntl.fcntl(grant.disk.fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert fcntl.fcntl(grant.disk.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(grant.disk.fd, b"x")


async def test_the_owner_of_the_disks_closes_them(source: Path) -> None:
    before = open_descriptors()
    with ExitStack() as owned:
        grants = await pack_grants([_grant(source)] * 2, owned)
        assert len({grant.disk.fd for grant in grants}) == 2
    assert open_descriptors() <= before


async def test_a_grant_that_fails_leaves_nothing_open_and_no_file(
    source: Path, cache: Path
) -> None:
    before = open_descriptors()
    with ExitStack() as owned, pytest.raises(StockadeError):
        await pack_grants([_grant(source), _grant(source / "none")], owned)
    assert open_descriptors() <= before
    assert list((cache / "tmp").iterdir()) == []


async def test_the_copy_is_of_the_moment_it_was_made(
    source: Path, tmp_path: Path, owned: ExitStack
) -> None:
    (source / "file").write_bytes(b"before")
    grant = await _pack(source, owned)
    (source / "file").write_bytes(b"after!")
    shutil.rmtree(source)
    assert _tree(_extract(grant, tmp_path / "out")) == {"file": b"before"}
