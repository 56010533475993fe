"""The files of a machine, read and written from outside as its unprivileged user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from stockade.model.errors import RequestError

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine


def test_what_is_written_is_read_back(box: BlockingSandbox) -> None:
    data = os.urandom(2_000_003)
    box.files.write("/tmp/data", data, mode=0o600)
    assert box.files.read("/tmp/data") == data
    status = box.files.status("/tmp/data")
    assert (status.kind, status.size, status.mode, status.uid) == ("file", len(data), 0o600, 1000)


def test_writing_replaces_the_file_and_leaves_no_part(box: BlockingSandbox) -> None:
    box.files.make_folder("/tmp/replaced/deep")
    box.files.write("/tmp/replaced/deep/f", "one")
    box.files.write("/tmp/replaced/deep/f", "two")
    assert box.files.read("/tmp/replaced/deep/f") == b"two"
    assert [entry.name for entry in box.files.list("/tmp/replaced/deep")] == ["f"]


def test_removal(box: BlockingSandbox) -> None:
    box.files.make_folder("/tmp/gone")
    box.files.write("/tmp/gone/f", "x")
    with pytest.raises(RequestError, match="not empty"):
        box.files.remove("/tmp/gone")
    box.files.remove("/tmp/gone/f")
    box.files.remove("/tmp/gone")
    with pytest.raises(RequestError) as missing:
        box.files.status("/tmp/gone")
    assert missing.value.kind == "ENOENT"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/shadow", "EACCES"),
        ("/nowhere", "ENOENT"),
        ("/tmp", "EISDIR"),
        ("/tmp/" + "x" * 300, "ENAMETOOLONG"),
    ],
)
def test_a_read_that_fails_says_why(box: BlockingSandbox, path: str, kind: str) -> None:
    with pytest.raises(RequestError) as failure:
        box.files.read(path)
    assert failure.value.kind == kind


def test_a_pipe_cannot_hold_the_host_up(box: BlockingSandbox) -> None:
    assert box.exec(["mkfifo", "/tmp/pipe"]).code == 0
    with pytest.raises(RequestError, match="Not a regular file"):
        box.files.read("/tmp/pipe")


def test_a_link_leads_no_further_than_its_user_could_go(box: BlockingSandbox) -> None:
    assert box.exec(["ln", "-sf", "/etc/shadow", "/tmp/link"]).code == 0
    with pytest.raises(RequestError, match="Permission denied"):
        box.files.read("/tmp/link")
    assert box.files.status("/tmp/link").target == "/etc/shadow"


def test_names_may_be_any_bytes(box: BlockingSandbox) -> None:
    name = os.fsdecode(b"/tmp/\xff\xfe name")
    box.files.write(name, "x")
    assert box.files.read(name) == b"x"
