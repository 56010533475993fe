from __future__ import annotations

import pytest
from tests.unit.tools.conftest import Tools

pytestmark = pytest.mark.machine


def test_the_last_commits_are_told(tools: Tools) -> None:
    tools.repository(a="one\n")
    tools.shell(
        "git commit -q --allow-empty -m 'Second: a | b'; echo x > b; git add b; git commit -qm 3"
    )
    commits = tools.done("git_log")["commits"]
    assert [one["subject"] for one in commits] == ["3", "Second: a | b", "First commit"]
    assert commits[0]["author"] == "Ann"
    assert len(tools.done("git_log", most=1)["commits"]) == 1
    assert [one["subject"] for one in tools.done("git_log", file="b")["commits"]] == ["3"]
    assert tools.done("git_log", revision="HEAD~2")["commits"][0]["subject"] == "First commit"
