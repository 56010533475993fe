from __future__ import annotations

import pytest
from tests.unit.tools.conftest import GRANTS, Tools

pytestmark = pytest.mark.machine


def test_what_has_changed_is_told_file_by_file(tools: Tools) -> None:
    tools.repository(a="a", b="b", c="c")
    clean = tools("git_status")
    assert clean.data
    assert clean.data["files"] == []
    assert clean.text.endswith("nothing has changed")
    tools.shell("echo x > a; git rm -q b; mkdir d; echo x > 'd/new file'; echo y > s; git add s")
    data = tools.done("git_status")
    assert {one["path"]: one["status"] for one in data["files"]} == {
        "a": ".M",
        "b": "D.",
        "s": "A.",
        "d/new file": "??",
    }
    assert data["complete"]
    assert len(data["commit"]) == 40
    tools.shell("git checkout -q --detach")
    assert tools.done("git_status")["branch"] == ""


def test_a_long_answer_is_cut_between_files(tools: Tools) -> None:
    tools.repository(a="a")
    tools.shell("for n in $(seq 50); do touch new-file-$n; done")
    small = Tools(tools.box, {**GRANTS, "git_status": {"output": 500}})
    data = small.done("git_status")
    assert not data["complete"]
    assert 0 < len(data["files"]) < 50
    assert all(one["path"].startswith("new-file-") for one in data["files"])
