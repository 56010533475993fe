"""Each operation in a process of its own, as in the machine: it ends with the operation."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stockade.guest import files

_RUN = """
import os, sys
from stockade.guest import files
action, path, mode = sys.argv[1:]
files.check(action)
files.operate(action, os.fsencode(path), int(mode))
"""

# Vanishes while it is listed: whatever stands behind the first entry is removed at its line.
_VANISHING = """
import os, sys
from stockade.guest import files
folder = sys.argv[1]

class Remover:
    def write(self, line):
        sys.__stdout__.write(line)
        for name in ("b", "c"):
            if os.path.lexists(f"{folder}/{name}"):
                os.unlink(f"{folder}/{name}")
    def flush(self):
        sys.__stdout__.flush()

sys.stdout = Remover()
files.operate("list", os.fsencode(folder), 0)
"""

# Without its capabilities even root is bound by permissions.
_POWERLESS = [] if os.geteuid() else ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"]


def _start(action: str, path: Path | bytes | str, mode: int = 0) -> list[str]:
    return [sys.executable, "-c", _RUN, action, os.fsdecode(path), str(mode)]


def _do(
    action: str, path: Path | bytes | str, data: bytes = b"", mode: int = 0
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        _start(action, path, mode), input=data, capture_output=True, timeout=30, check=False
    )


def _failure(done: subprocess.CompletedProcess[bytes]) -> str:
    """The system's name of what went wrong."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == b""
    report = json.loads(done.stderr)
    assert report["message"]
    return str(report["kind"])


def _entries(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_reading_gives_the_bytes(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "f").write_bytes(data)
    done = _do("read", tmp_path / "f")
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")


def test_what_is_not_a_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # opening it the ordinary way would wait for ever
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert _failure(_do("read", tmp_path)) == "EISDIR"
        assert _failure(_do("read", tmp_path / "fifo")) == "EINVAL"
        assert _failure(_do("read", "/dev/zero")) == "EINVAL"
        assert _failure(_do("read", tmp_path / "socket")) == "ENXIO"
        assert _failure(_do("read", tmp_path / "none")) == "ENOENT"
        assert _failure(_do("read", tmp_path / "fifo" / "x")) == "ENOTDIR"


def test_a_symlink_is_followed_when_read_and_a_loop_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"text")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "loop").symlink_to("loop")
    assert _do("read", tmp_path / "link").stdout == b"text"
    assert _failure(_do("read", tmp_path / "loop")) == "ELOOP"


def test_writing_replaces_the_file_and_sets_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_bytes(b"something longer than what comes")
    done = _do("write", target, b"new", mode=0o640)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o7777 == 0o640
    assert list(tmp_path.iterdir()) == [target]


def test_writing_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("target")
    assert _do("write", tmp_path / "link", b"new", mode=0o644).returncode == 0
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("path", "kind"), [("folder", "EISDIR"), ("none/f", "ENOENT"), ("file/f", "ENOTDIR")]
)
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, path: str, kind: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert _failure(_do("write", tmp_path / path, b"data", mode=0o644)) == kind
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "folder"]


def test_a_write_cut_off_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_bytes(b"old")
    with subprocess.Popen(_start("write", target, mode=0o644), stdin=subprocess.PIPE) as writer:
        assert writer.stdin
        writer.stdin.write(b"half of the new content")
        writer.stdin.flush()
        writer.kill()
    assert target.read_bytes() == b"old"


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    assert _do("write", tmp_path / ("n" * 255), b"data", mode=0o644).returncode == 0
    assert _failure(_do("write", tmp_path / ("n" * 256), b"data", mode=0o644)) == "ENAMETOOLONG"
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]


def test_every_kind_of_file_is_described(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "a").chmod(0o4751)
    os.utime(tmp_path / "a", (1, 1.5))
    (tmp_path / "b").mkdir()
    (tmp_path / "c").symlink_to("nowhere")
    os.mkfifo(tmp_path / "d")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "e"))
        (file,) = _entries(_do("describe", tmp_path / "a"))
        found = {entry["name"]: entry["kind"] for entry in _entries(_do("list", tmp_path))}
    assert file == {
        "name": "a",
        "kind": "file",
        "size": 5,
        "mode": 0o4751,
        "modified": 1.5,
        "uid": os.getuid(),
    }
    assert found == {"a": "file", "b": "directory", "c": "symlink", "d": "fifo", "e": "socket"}
    assert _entries(_do("describe", tmp_path / "c"))[0]["target"] == "nowhere"
    assert _entries(_do("describe", "/dev/null"))[0]["kind"] == "device"


def test_names_of_any_bytes_are_listed_one_on_a_line(tmp_path: Path) -> None:
    names = [b"new\nline", b"\xff\xfe", b"quote\"'", b" ", b"\x1b[2J", "\u202e".encode(), b"\\"]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    found = [os.fsencode(entry["name"]) for entry in _entries(_do("list", tmp_path))]
    assert found == sorted(names)


def test_a_link_to_any_bytes_is_described(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(os.fsdecode(b"to\n\xff"))
    (entry,) = _entries(_do("describe", link))
    assert os.fsencode(entry["target"]) == b"to\n\xff"


def test_an_entry_that_vanishes_while_it_is_listed_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    (tmp_path / "c").symlink_to("a")
    (tmp_path / "d").touch()
    done = subprocess.run(
        [sys.executable, "-c", _VANISHING, tmp_path], capture_output=True, timeout=30, check=False
    )
    assert [entry["name"] for entry in _entries(done)] == ["a", "d"]


def test_what_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert _failure(_do("list", tmp_path / "f")) == "ENOTDIR"
    assert _failure(_do("list", tmp_path / "none")) == "ENOENT"


def test_folders_are_made_with_their_parents_and_may_be_there(tmp_path: Path) -> None:
    for _ in range(2):
        assert _do("make-folder", tmp_path / "a" / "b", mode=0o700).returncode == 0
    assert (tmp_path / "a" / "b").stat().st_mode & 0o7777 == 0o700
    (tmp_path / "file").touch()
    assert _failure(_do("make-folder", tmp_path / "file", mode=0o700)) == "EEXIST"


def test_files_links_and_empty_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("link", "folder", "file"):
        assert _do("remove", tmp_path / name).returncode == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]
    assert _failure(_do("remove", tmp_path)) == "ENOTEMPTY"
    assert _failure(_do("remove", tmp_path / "file")) == "ENOENT"


def test_permissions_hold(tmp_path: Path) -> None:
    (tmp_path / "f").touch(mode=0)
    done = subprocess.run(
        [*_POWERLESS, *_start("read", tmp_path / "f")],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert _failure(done) == "EACCES"


@pytest.mark.parametrize("action", ["execute", "", "READ", "list_folder", 7, None, ["read"]])
def test_an_action_that_is_none_is_refused_before_there_is_a_process(action: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        files.check(action)
