"""Paths that would lead a scoped tool out of what it was granted, in a real machine.

The tools may touch what is below /workspace/open. Beside it lies a secret, which no answer may have
in it and no write may change.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.tools.conftest import Tools, make_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.model.action import Action
    from stockade.model.verdict import Verdict
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine

_OPEN = {"paths": ["/workspace/open", "/workspace/open/**"]}
_SECRET = "the-secret"
_LOOKING: dict[str, dict[str, Any]] = {"list_files": {}, "search_files": {"pattern": "secret"}}
_TOUCHING: dict[str, dict[str, Any]] = {
    "read_file": {},
    "write_file": {"content": "changed"},
    "edit_file": {"old": _SECRET, "new": "changed"},
}
_GRANTS: dict[str, Any] = dict.fromkeys((*_LOOKING, *_TOUCHING), _OPEN)
_SET_UP = f"""
mkdir -p open/d shut
printf {_SECRET} > shut/f
printf harmless > open/f; printf harmless > open/d/f
ln -s ../shut/f open/link
ln -s /workspace/shut open/folder
ln -s link open/chain
ln -s ../shut/new open/dangling
ln -s /proc/self/root/workspace/shut open/magic
ln -s /proc/self/cwd/../workspace/shut/f open/magic-file
ln shut/f open/hard
mkfifo open/fifo
ln -s /dev/zero open/zero
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("open/socket")'
"""


@pytest.fixture
def tools(box: BlockingSandbox) -> Iterator[Tools]:
    made: Tools = make_tools(box)(_GRANTS)
    made.shell(_SET_UP)
    yield made
    # Whatever was tried, this is as it was.
    assert made.box.files.read("/workspace/shut/f") == _SECRET.encode()
    assert [entry.name for entry in made.box.files.list("/workspace/shut")] == ["f"]


# fmt: off
_OUT = [
    "open/../shut/f", "open/d/../../shut/f", "../workspace/shut/f", "shut/f", "/workspace/shut/f",
    "/workspace/open/../shut/f", "//workspace//shut//f", "/workspace/./open/.././shut/./f",
    "open/link", "open/chain", "open/folder/f", "open/folder/../f", "open/folder/../shut/f",
    "open/dangling", "open/magic/f", "open/magic-file", "open/folder/./f", "open/d/../folder/f",
    "open/link/../../shut/f", "open/f/../../shut/f", "open/none/../../shut/f",
    "/proc/self/root/workspace/shut/f", "/proc/self/cwd/shut/f",
    "/proc/thread-self/root/etc/passwd",
    "/proc/1/root/etc/passwd", "/proc/self/fd/0", "/dev/stdin", "/dev/fd/0", "/proc/self/environ",
    "/sys/kernel/notes", "/dev/shm/x", "/proc/self/root/workspace/open/f", "/etc/shadow",
    "/etc/passwd",
    "open/hard", "open/fifo", "open/zero", "open/socket", "open/d", "open", "", ".", "..", "/",
    "open/f\0", "open\0/../shut/f", "\0", "open/" + "../" * 1000 + "shut/f",
    "x" * 65536, "open/" + "y" * 300, "open/" + "a/" * 2000 + "f", "/" * 4096, "/" * 65536,
    "open/\uff0e\uff0e/shut/f", "open/\u2024\u2024/shut/f", "open\u2215f", "open\uff0ff",
    "\uff4fpen/f",
    "op\u0435n/f", "open/f\u200b", "open/\u202ef", "OPEN/f", "open/F", "open/f ", " open/f",
    "open/%2e%2e/shut/f", "open/..%2fshut/f", "open\\..\\shut\\f", "file:///workspace/shut/f",
    "~/f", "~agent/f", "$HOME/f", "open/f/", "open/f/.", "open/f/..", "open/f//x", "\ud800",
    "open/\udcff",
    "open/*", "open/{f,../shut/f}", "-rf", "--help", "open/d/..//..//shut//f", "./open/./../shut/f",
]
# fmt: on


def test_no_path_leads_out(tools: Tools) -> None:
    for path in _OUT:
        result = tools("read_file", path=path)
        assert result.failed, (path, result.text)
        assert _SECRET not in result.text
        assert len(result.text) < 2000


def test_nothing_is_written_outside(tools: Tools) -> None:
    before = _outside(tools)
    for path in _OUT:
        tools("write_file", path=path, content="changed")
    assert _outside(tools) == before


def _outside(tools: Tools) -> str:
    """All that could be written beside what is granted, with all that tells of a change."""
    # The granted folder's own time may change, as there are names to be written in it.
    script = "find / -xdev -user agent ! -path /workspace/open ! -path '/workspace/open/*'"
    return tools.shell(f"{script} -printf '%p %i %s %T@ %n\\n' 2>/dev/null | sort")


@pytest.mark.parametrize(
    "path", ["open/folder", "open/../shut", "shut", "open/magic", "/proc/self/root", "/", "/proc"]
)
def test_no_folder_outside_is_listed_or_searched(tools: Tools, path: str) -> None:
    for name, more in _LOOKING.items():
        result = tools(name, path=path, **more)
        assert result.failed, result.text
        assert _SECRET not in result.text


def test_a_search_follows_nothing_out(tools: Tools) -> None:
    data = tools.done("search_files", path="open", pattern="(secret|harmless)", regex=True)
    assert sorted(one["path"] for one in data["matches"]) == [
        "/workspace/open/d/f",
        "/workspace/open/f",
    ]


_SWAPS = {
    "the file is a link now": ("rm open/d/f; ln -s /workspace/shut/f open/d/f", "open/d/f"),
    "its folder is a link now": ("rm -r open/d; ln -s /workspace/shut open/d", "open/d/f"),
    "its folder's folder is a link now": (
        "mkdir -p shut2/d; ln shut/f shut2/d/f; rm -r open; ln -s shut2 open",
        "open/d/f",
    ),
    "the file has a second name now": ("rm open/d/f; ln shut/f open/d/f", "open/d/f"),
    "the file is a pipe now": ("rm open/d/f; mkfifo open/d/f", "open/d/f"),
}


@pytest.mark.parametrize("swap", _SWAPS)
def test_what_changes_after_the_verdict_is_not_followed(tools: Tools, swap: str) -> None:
    script, path = _SWAPS[swap]
    box = tools.box._box
    decide = tools.toolbox._submit

    async def submit(action: Action) -> Verdict:
        verdict = await decide(action)
        assert verdict.allowed
        done = await box.exec(["sh", "-euc", f"{script}"], cwd="/workspace")
        assert done.code == 0, done.stderr
        return verdict

    restore = "rm -rf open shut2; mkdir -p open/d; printf harmless | tee open/f open/d/f"
    for name, more in _TOUCHING.items():
        tools.toolbox._submit = submit
        result = tools(name, path=path, **more)
        tools.toolbox._submit = decide
        assert result.failed, (name, result.text)
        assert _SECRET not in result.text
        assert tools.box.files.read("/workspace/shut/f") == _SECRET.encode()
        tools.shell(restore)
    tools.toolbox._submit = submit
    for name, more in _LOOKING.items():
        result = tools(name, path="open/d", **more)
        tools.toolbox._submit = decide
        assert _SECRET not in result.text
        assert result.data is None or not result.data.get("matches"), result.data
        tools.shell(restore)
        tools.toolbox._submit = submit


_RACE = """
import os
os.chdir("/workspace/open")
while not os.path.exists("stop"):
    os.rename("d", "real"); os.symlink("/workspace/shut", "d")
    os.unlink("d"); os.rename("real", "d")
"""


def test_no_race_is_won(tools: Tools) -> None:
    racer = threading.Thread(target=tools.box.exec, args=(["python3", "-c", _RACE],))
    racer.start()
    try:
        texts = {tools("read_file", path="open/d/f").text for _ in range(15)}
        for number in range(8):
            tools("write_file", path=f"open/d/new{number}", content="changed")
    finally:
        tools.shell("touch open/stop")
        racer.join()
    assert not any(_SECRET in text for text in texts)
