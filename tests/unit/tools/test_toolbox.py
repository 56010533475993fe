from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.tools.conftest import GRANTS, WORKSPACE, Tools

from stockade.model.action import ToolCall
from stockade.model.errors import MachineError

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine


def test_what_is_granted_is_described_in_order(box: BlockingSandbox, tools: Tools) -> None:
    some = Tools(box, {"write_file": WORKSPACE, "list_files": WORKSPACE})
    described = some.box._call(some.toolbox.descriptions)
    assert [one.name for one in described] == ["list_files", "write_file"]
    with pytest.raises(KeyError):
        some("read_file", path="x")


def test_the_gate_is_told_where_a_path_leads(tools: Tools) -> None:
    tools.shell("mkdir d; ln -s /etc/hostname d/out; ln -s nowhere/x dangling")
    for path in ("d/../d/out", "dangling", "a/new/one"):
        tools("read_file", path=path)
    assert [(one.arguments["path"], one.paths) for one in _calls(tools)] == [
        ("/workspace/d/../d/out", {"path": "/etc/hostname"}),
        ("/workspace/dangling", {"path": "/workspace/nowhere/x"}),
        ("/workspace/a/new/one", {"path": "/workspace/a/new/one"}),
    ]


def test_a_path_that_leads_nowhere_is_put_to_the_gate_all_the_same(tools: Tools) -> None:
    tools.shell("ln -s loop loop")
    assert "symbolic links" in tools.refused("read_file", path="loop")
    # A refusal does not tell whether there is something.
    here, gone = (tools.refused("read_file", path=f"/etc/{x}/x") for x in ("passwd", "nothing"))
    assert here.replace("passwd", "nothing") == gone
    assert [one.paths["path"] for one in _calls(tools)] == [
        "/workspace/loop",
        "/etc/passwd/x",
        "/etc/nothing/x",
    ]


def test_a_refusal_says_what_is_allowed(tools: Tools) -> None:
    said = tools.refused("read_file", path="/etc/passwd")
    assert said.startswith("read_file was refused: ")
    assert "/workspace/**" in said


def test_what_is_no_call_never_reaches_the_gate(tools: Tools) -> None:
    assert tools.refused("read_file") == "read_file: the argument 'path' is missing"
    assert "not valid Unicode" in tools.refused("read_file", path="\ud800")
    tools.shell(r"""python3 -c 'import os; os.symlink(b"\xff", "l")'""")
    assert "where its path leads, is not valid Unicode" in tools.refused("read_file", path="l")
    assert tools.actions == []


def test_a_machine_that_is_gone_is_a_failure_like_others(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(_path: str) -> str:
        raise MachineError("the machine has\nended")

    monkeypatch.setattr(tools.box._box.files, "resolve", resolve)
    assert tools.refused("read_file", path="x") == "read_file: the machine has ended"


def test_a_call_that_takes_too_long_is_ended(box: BlockingSandbox, tools: Tools) -> None:
    grants = {**GRANTS, "read_file": {**WORKSPACE, "timeout": 0.001}}
    assert "not done within 1ms" in Tools(box, grants).refused("read_file", path="x")


def _calls(tools: Tools) -> list[ToolCall]:
    return [action for action in tools.actions if isinstance(action, ToolCall)]
