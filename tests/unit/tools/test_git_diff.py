from __future__ import annotations

import pytest
from tests.unit.tools.conftest import Tools

pytestmark = pytest.mark.machine


def test_changes_are_shown_against_what_is_asked_for(tools: Tools) -> None:
    tools.repository(a="one\n", b="one\n")
    assert tools("git_diff").text == "nothing differs"
    tools.shell("echo two > a; git add a; echo three > a; echo four > b")
    assert "-two\n+three" in tools("git_diff").text
    assert "-one\n+two" in tools("git_diff", staged=True).text
    assert "-one\n+three" in tools("git_diff", base="HEAD").text
    only = tools("git_diff", files=["b"]).text
    assert "+four" in only
    assert "+three" not in only
    assert "git diff" in tools.refused("git_diff", base="no-such-branch")
