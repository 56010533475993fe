"""A whole piece of work with scoped tools: real machine, policy, gate and journal."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from stockade.audit.journal import Journal, read_decisions
from stockade.gate import Gate
from stockade.model.action import ToolCall
from stockade.model.profile import Profile
from stockade.policy.engine import compile_profile
from stockade.sandbox.sandbox import Sandbox
from stockade.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from pathlib import Path

    from stockade.tools.base import Machine, Result

pytestmark = [pytest.mark.machine, pytest.mark.anyio]

_SHOP = "def total(prices):\n    return sum(prices) + 1\n"
_TESTS = "import shop\n\n\ndef test_total():\n    assert shop.total([1, 2]) == 3\n"
_PATHS = {"paths": ["/workspace/**"]}


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    argv = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.py").write_text(_SHOP)
    (folder / "test_shop.py").write_text(_TESTS)
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "Sell things")
    return folder


async def test_an_agent_mends_a_project_with_tools_alone(shop: Path, tmp_path: Path) -> None:
    profile = Profile.model_validate(
        {
            "files": [{"host": shop, "guest": "/workspace", "access": "overlay"}],
            "tools": {
                "read_file": _PATHS,
                "edit_file": {"paths": ["/workspace/*.py"]},
                "run_tests": {},
                "make_patch": {},
            },
        }
    )
    path = tmp_path / "journal"
    with Journal(path) as journal:
        async with Sandbox(profile) as box:
            machine: Machine = box
            gate = Gate(box.id, compile_profile(profile), journal)
            patch = await _mend(Toolbox(machine, profile, gate.submit))
    assert _git(shop, "status", "--porcelain") == ""
    (tmp_path / "patch").write_text(patch)
    _git(shop, "am", str(tmp_path / "patch"))
    assert (shop / "shop.py").read_text() == _SHOP.replace(" + 1", "")
    told = [
        (event.action.tool, event.verdict.allowed)
        for event in read_decisions(path)
        if isinstance(event.action, ToolCall)
    ]
    assert told == [
        ("read_file", True),
        ("read_file", False),
        ("edit_file", False),
        ("run_tests", True),
        ("edit_file", True),
        ("run_tests", True),
        ("make_patch", True),
    ]


async def _mend(tools: Toolbox) -> str:
    async def done(name: str, **arguments: Any) -> dict[str, Any]:
        result = await tools.call(name, arguments)
        assert not result.failed, result.text
        assert result.data is not None
        return dict(result.data)

    async def refused(name: str, **arguments: Any) -> Result:
        result = await tools.call(name, arguments)
        assert result.failed
        return result

    assert (await tools.call("read_file", {"path": "shop.py"})).text == _SHOP
    said = (await refused("read_file", path="/etc/passwd")).text
    assert "/etc/passwd" in said
    assert "/workspace/**" in said
    said = (await refused("edit_file", path=".git/config", old="[core]", new="")).text
    assert "/workspace/*.py" in said

    before = await done("run_tests")
    assert (before["framework"], before["failed"], before["success"]) == ("pytest", 1, False)
    [failure] = before["failures"]
    assert (failure["file"], failure["line"]) == ("test_shop.py", 5)
    assert failure["message"].startswith("assert 4 == 3")

    await done("edit_file", path="shop.py", old="sum(prices) + 1", new="sum(prices)")
    after = await done("run_tests")
    assert (after["passed"], after["failed"], after["success"]) == (1, 0, True)
    return str((await done("make_patch", message="Sum prices, and no more"))["patch"])


async def test_tools_read_where_nothing_may_be_written(shop: Path) -> None:
    profile = Profile.model_validate(
        {
            "files": [{"host": shop, "guest": "/workspace", "access": "read"}],
            "tools": {
                "write_file": _PATHS,
                "run_tests": {},
                "git_status": {},
                "make_patch": {},
            },
        }
    )
    policy = compile_profile(profile)

    async def submit(action: Any) -> Any:
        return policy.decide(action)

    async with Sandbox(profile) as box:
        tools = Toolbox(box, profile, submit)
        written = await tools.call("write_file", {"path": "new", "content": "x"})
        assert written.failed
        assert "Read-only file system" in written.text
        tested = await tools.call("run_tests", {})
        assert tested.data
        assert tested.data["failed"] == 1
        status = await tools.call("git_status", {})
        assert status.data
        assert status.data["files"] == []
        assert (await tools.call("make_patch", {})).text.startswith("nothing has changed")
