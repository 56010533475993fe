"""A session whose tools work inside the wall, on a real machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from stockade.audit.journal import read_decisions
from stockade.model.action import ToolCall
from stockade.model.errors import StockadeError
from stockade.model.profile import FileGrant, Profile
from stockade.sandbox import registry
from stockade.tool_session import open_session

pytestmark = pytest.mark.anyio


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "a").write_text("content\n")
    return Profile.model_validate({
        "files": [FileGrant(host=tmp_path / "a", guest="/workspace/a")],
        "tools": {"read_file": {"paths": ["/workspace/**"]}},
        "mcp": {"other": {"command": ["true"], "tools": {"new": {}}}},
    })  # fmt: skip


@pytest.mark.machine
async def test_calls_wait_for_the_machine_and_are_recorded(profile: Profile) -> None:
    async with open_session(profile) as session:
        assert [tool.name for tool in await session.toolbox.descriptions()] == ["read_file"]
        assert session.unaccepted == ["other__new"]
        read = await session.toolbox.call("read_file", {"path": "a"})
        assert "content" in read.text
        denied = await session.toolbox.call("read_file", {"path": "/etc/passwd"})
        assert denied.failed
        assert session.box.id in {record.id for record in registry.machines()}
    assert session.box.id not in {record.id for record in registry.machines()}
    allowed, refused = read_decisions(session.journal_path)
    assert isinstance(allowed.action, ToolCall)
    assert (allowed.verdict.allowed, refused.verdict.allowed) == (True, False)
    assert allowed.session == session.box.id


@pytest.mark.machine
async def test_a_session_that_only_audits_lets_it_go_ahead(profile: Profile) -> None:
    async with open_session(profile, enforce=False) as session:
        read = await session.toolbox.call("read_file", {"path": "/etc/hostname"})
        assert not read.failed
        blocked = await session.toolbox.call("other__new", {})
        assert "has not been accepted" in blocked.text  # nobody has read what it is
    first = next(read_decisions(session.journal_path))
    assert (first.enforced, first.verdict.allowed) == (False, False)


async def test_unknown_tools_do_not_wait(profile: Profile) -> None:
    async with open_session(profile) as session:
        with pytest.raises(KeyError):
            await session.toolbox.call("write_file", {})


async def test_a_machine_that_cannot_start_is_told_at_each_call(profile: Profile) -> None:
    notices: list[str] = []
    broken = profile.model_copy(update={"image": "dir:/nowhere-at-all"})
    async with open_session(broken, notice=notices.append) as session:
        assert await session.toolbox.descriptions()
        for _ in range(2):
            with pytest.raises(StockadeError, match="the machine did not start"):
                await session.toolbox.call("read_file", {"path": "a"})
    assert len(notices) == 1
