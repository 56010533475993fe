from __future__ import annotations

import pytest
from tests.unit.tools.conftest import Tools

pytestmark = pytest.mark.machine

# Each would run a program of the repository's choice when git is asked the ordinary way.
_HOSTILE = """
git config core.fsmonitor "touch $PWD/ran-fsmonitor; false"
git config core.hooksPath "$PWD/hooks"
git config diff.external "touch $PWD/ran-external"
git config core.pager "touch $PWD/ran-pager"
git config diff.evil.textconv "touch $PWD/ran-textconv; cat"
git config filter.evil.clean "touch $PWD/ran-clean; cat"
git config filter.evil.required true
git config gpg.program "$PWD/hooks/any"
git config log.showSignature true
git config core.worktree /etc
printf '* filter=evil diff=evil\\n' > .gitattributes
mkdir hooks
for hook in any post-index-change pre-commit reference-transaction; do
  printf '#!/bin/sh\\ntouch /workspace/ran-hook\\n' > hooks/$hook; chmod +x hooks/$hook
done
printf 'changed\\n' > f.py
"""


def test_no_program_that_a_repository_names_is_run(tools: Tools) -> None:
    tools.repository(f_py="first\n")
    tools.shell(_HOSTILE)
    assert "f.py" in [one["path"] for one in tools.done("git_status")["files"]]
    assert "+changed" in tools("git_diff").text
    assert tools.done("git_log")["commits"][0]["subject"] == "First commit"
    patch = tools.done("make_patch")
    assert "f.py" in patch["files"]
    assert "hostname" not in patch["files"]
    assert "ran-" not in tools.shell("ls")


def test_the_attacks_would_work(tools: Tools) -> None:
    tools.repository(f_py="first\n")
    tools.shell(_HOSTILE + "git config --unset core.worktree; git status; git -p diff || true")
    assert {"ran-fsmonitor", "ran-clean"} <= set(tools.shell("ls").split())


def test_more_filters_than_can_be_turned_off_are_refused(tools: Tools) -> None:
    tools.repository(f_py="first\n")
    tools.shell(
        "for n in $(seq 101); do printf '[filter \"f%s\"]\\nclean = x\\n' $n; done >> .git/config"
    )
    assert "more than 100 filters" in tools.refused("git_status")
    tools.shell("printf '[filter \"a=b\"]\\nclean = x\\n' > .git/config")
    assert "in a way that is not clear" in tools.refused("git_status")


@pytest.mark.parametrize("name", ["git_status", "git_diff", "git_log", "make_patch"])
def test_a_workspace_without_a_repository_is_told(tools: Tools, name: str) -> None:
    assert tools.refused(name) == f"{name}: /workspace is not a git repository"


@pytest.mark.parametrize("revision", ["--output=/tmp/x", "-1", "", "a b", "a;b", "x" * 201])
def test_a_revision_is_never_an_option(tools: Tools, revision: str) -> None:
    for name, argument in (("git_diff", "base"), ("git_log", "revision"), ("make_patch", "base")):
        assert argument in tools.refused(name, **{argument: revision})
    assert tools.actions == []
