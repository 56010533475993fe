"""The tools at work: a real machine, the real policy, and a folder of their own in it."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from stockade.model.profile import Profile
from stockade.policy.engine import compile_profile
from stockade.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.model.action import Action
    from stockade.model.verdict import Verdict
    from stockade.sandbox.blocking import BlockingSandbox
    from stockade.tools.base import Progress, Result

WORKSPACE = {"paths": ["/workspace", "/workspace/**"]}
GRANTS: dict[str, Any] = {
    **dict.fromkeys(("read_file", "write_file", "edit_file", "list_files"), WORKSPACE),
    "search_files": WORKSPACE,
    "run_command": {"commands": ["python3 -c **", "cat *", "sleep *", "nothing-like-it"]},
    **{name: {} for name in ("run_tests", "git_status", "git_diff", "git_log", "make_patch")},
}


class Tools:
    """The tools of a profile in the machine of the whole session."""

    def __init__(self, box: BlockingSandbox, grants: dict[str, Any]) -> None:
        self.box = box
        profile = Profile.model_validate({"tools": grants})
        policy = compile_profile(profile)
        self.actions: list[Action] = []

        async def submit(action: Action) -> Verdict:
            self.actions.append(action)
            return policy.decide(action)

        self.toolbox = Toolbox(box._box, profile, submit)

    def __call__(self, name: str, /, progress: Progress | None = None, **arguments: Any) -> Result:
        """Call one tool."""
        return self.box._call(partial(self.toolbox.call, name, arguments, progress))

    def done(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call one that must succeed, and give its data."""
        result = self(name, **arguments)
        assert not result.failed, result.text
        assert result.data is not None
        return dict(result.data)

    def refused(self, name: str, /, **arguments: Any) -> str:
        """Call one that must fail, and give what it says."""
        result = self(name, **arguments)
        assert result.failed, result.text
        assert result.data is None
        return result.text

    def shell(self, script: str) -> str:
        """What someone else does in the machine, who is not bound to tools."""
        done = self.box.exec(["sh", "-euc", script], cwd="/workspace")
        assert done.code == 0, done.stderr
        return done.text

    def repository(self, **files: str) -> None:
        """Make the workspace a git repository with one commit of ``files``."""
        for name, text in files.items():
            self.shell(f"printf %s {shlex.quote(text)} > {shlex.quote(name.replace('_py', '.py'))}")
        self.shell(
            "git init -q; git config user.name Ann; git config user.email ann@example.org;"
            " git add -A; git commit -qm 'First commit'"
        )


@pytest.fixture
def tools(box: BlockingSandbox) -> Tools:
    """All tools, in an empty workspace."""
    return make_tools(box)(GRANTS)


def make_tools(box: BlockingSandbox) -> Callable[[dict[str, Any]], Tools]:
    """Empty the workspace, and give a way to make tools for grants."""
    cleared = box.exec(["find", "/workspace", "-mindepth", "1", "-delete"])
    assert cleared.code == 0, cleared.stderr
    return partial(Tools, box)
