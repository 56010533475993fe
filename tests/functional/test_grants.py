"""Host files in a machine: true copies, which nothing inside can change back."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from stockade.model.errors import StockadeError
from stockade.model.profile import Access, FileGrant, Profile
from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine

_ODD_NAME = "new\nline ünïcode"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("tree")
    (top / "plain.txt").write_text("plain")
    (top / "tool.sh").write_text("#!/bin/sh\necho ran\n")
    (top / "tool.sh").chmod(0o755)
    (top / "private").write_text("mine")
    (top / "private").chmod(0o600)
    (top / _ODD_NAME).write_text("odd")
    (top / "empty").mkdir()
    (top / "folder").mkdir()
    (top / "folder" / "inner").write_text("inner")
    (top / "inside").symlink_to("folder/inner")
    (top / "outside").symlink_to("/etc/hostname")
    (top / "escape").symlink_to("../../../../../../etc/shadow")
    with (top / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"data")
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(top)
        server.bind("socket")
        os.chdir(before)
    return top


def _digest(top: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        found = path.lstat()
        digest.update(repr((str(path), found.st_mode, found.st_mtime_ns, found.st_size)).encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def granted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> BlockingSandbox:  # type: ignore[misc]
    single = tmp_path_factory.mktemp("single") / "notes.txt"
    single.write_text("notes")
    profile = Profile(
        files=(
            FileGrant(host=tree, guest="/workspace"),
            FileGrant(host=tree, guest="/changes", access=Access.OVERLAY),
            FileGrant(host=single, guest="/data/notes.txt"),
            FileGrant(host=single, guest="/data/draft.txt", access=Access.OVERLAY),
        )
    )
    with BlockingSandbox(profile) as running:
        yield running


def test_a_read_grant_cannot_be_written(granted: BlockingSandbox, tree: Path) -> None:
    before = _digest(tree)
    for script in (
        "echo x > plain.txt", "touch new", "rm plain.txt", "mkdir d", "mv plain.txt p",
        "ln -s a b", "chmod 777 plain.txt",
    ):  # fmt: skip
        result = granted.exec(["sh", "-c", script], cwd="/workspace")
        assert result.code != 0
        assert b"Read-only file system" in result.stderr
    assert _digest(tree) == before


def test_an_overlay_grant_can_be_changed_inside_and_only_there(
    granted: BlockingSandbox, tree: Path
) -> None:
    before = _digest(tree)
    script = (
        "echo changed > plain.txt; rm tool.sh; mkdir made; echo n > made/f; cat plain.txt made/f"
    )
    assert granted.exec(["sh", "-c", script], cwd="/changes").text == "changed\nn\n"
    assert granted.exec(["cat", "/workspace/plain.txt"]).text == "plain"
    assert _digest(tree) == before


def test_names_modes_and_kinds_survive(granted: BlockingSandbox, tree: Path) -> None:
    found = {entry.name: entry for entry in granted.files.list("/workspace")}
    assert set(found) == {path.name for path in tree.iterdir()}
    for name, entry in found.items():
        original = (tree / name).lstat()
        if entry.kind != "symlink":
            assert entry.mode == original.st_mode & 0o7777, name
        if entry.kind == "file":
            assert entry.size == original.st_size, name
            assert int(entry.modified) == int(original.st_mtime), name
    assert found["empty"].kind == "directory"
    assert (found["fifo"].kind, found["socket"].kind) == ("fifo", "socket")
    assert granted.files.list("/workspace/empty") == []
    assert granted.files.read(f"/workspace/{_ODD_NAME}") == b"odd"
    assert granted.files.read("/workspace/private") == b"mine"
    assert granted.exec(["./tool.sh"], cwd="/workspace").text == "ran\n"


def test_a_sparse_file_is_whole(granted: BlockingSandbox, tree: Path) -> None:
    wanted = hashlib.sha256((tree / "sparse").read_bytes()).hexdigest()
    assert granted.exec(["sha256sum", "/workspace/sparse"]).text.split()[0] == wanted


def test_links_are_resolved_inside_the_machine(granted: BlockingSandbox) -> None:
    assert granted.exec(["cat", "/workspace/inside"]).text == "inner"
    outside = granted.exec(["cat", "/workspace/outside"])
    assert outside.stdout.decode().strip() != socket.gethostname() or outside.code != 0
    assert granted.exec(["cat", "/workspace/escape"]).code != 0


def test_a_single_file_can_be_granted(granted: BlockingSandbox) -> None:
    assert granted.files.read("/data/notes.txt") == b"notes"
    assert granted.exec(["sh", "-c", "echo x > /data/notes.txt"]).code != 0
    assert granted.exec(["sh", "-c", "echo more >> /data/draft.txt; cat /data/draft.txt"]).text == (
        "notesmore\n"
    )


@pytest.mark.parametrize("kind", ["missing", "socket", "fifo"])
def test_what_cannot_be_granted_is_refused_clearly(kind: str, tree: Path) -> None:
    profile = Profile(files=(FileGrant(host=tree / kind, guest="/workspace"),))
    with pytest.raises(StockadeError, match="cannot give") as refusal, BlockingSandbox(profile):
        pass
    assert "\n" not in str(refusal.value)
