"""Git in the machine, on a repository that may be hostile.

It runs inside the wall, so whatever a repository can make git do is contained. Still no tool that
reads should run a program that the repository names, nor look outside the workspace: hooks, file
monitors, external diffs, text conversions, filters, signature checks, transports and other work
trees are all turned off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stockade.model.errors import StockadeError
from stockade.model.exitcodes import NOT_FOUND
from stockade.model.quantities import format_duration
from stockade.tools.running import run
from stockade.tools.text import Clip, one_line
from stockade.tools.tool import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stockade.tools.tool import Call

REVISION: dict[str, Any] = {
    "type": "string",
    "maxLength": 200,
    # A letter or digit first: nothing that git could take for an option.
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._/@{}~^-]*$",
}
"""The schema of an argument that names a commit."""

_ENVIRONMENT = {
    "GIT_DIR": f"{WORKSPACE}/.git",
    "GIT_WORK_TREE": WORKSPACE,  # over core.worktree, which could be any folder
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_ALLOW_PROTOCOL": "none",  # missing objects are fetched from nowhere
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C.UTF-8",
}
_SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.untrackedCache": "false",
    "core.quotePath": "false",
    "diff.external": "",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "commit.gpgSign": "false",
    "format.signature": "Stockade",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "safe.directory": WORKSPACE,
    "color.ui": "false",
}
_MOST_FILTERS = 100


class GitError(StockadeError):
    """Git could not do it, or is not there."""


async def git(
    call: Call,
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    most: int | None = None,
    nothing: int = 0,
) -> Clip:
    """Run git in the workspace and give its output, cut at ``most`` bytes; else ``GitError``.

    ``nothing`` is a further exit code that is no failure.
    """
    chosen = {**_SETTINGS, **(settings or {})}
    options = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
    argv = ["git", "--no-pager", "--literal-pathspecs", *options, *arguments]
    output, errors = Clip(most or call.output), Clip(4096)
    outcome = await run(call, argv, output.add, errors.add, env={**_ENVIRONMENT, **(env or {})})
    if outcome is None:
        raise GitError(f"git {arguments[0]} was ended after {format_duration(call.timeout)}")
    if outcome.code == NOT_FOUND and not output.size:
        raise GitError("this image has no git")
    if outcome.code not in (0, nothing):
        said = errors.text.strip().split("\n")[0].removeprefix("fatal: ")
        if "not a git repository" in said.lower():
            raise GitError(f"{WORKSPACE} is not a git repository")
        raise GitError(f"git {arguments[0]}: {outcome.reason or one_line(said, 400)}")
    return output


async def without_filters(call: Call) -> dict[str, str]:
    """Settings that turn off the programs by which a repository has its files converted."""
    listed = await _names(call, r"^filter\..*\.(clean|smudge|process)$")
    if len(listed) > _MOST_FILTERS:
        raise GitError(f"the repository names more than {_MOST_FILTERS} filters for its files")
    settings: dict[str, str] = {}
    for name in listed:
        driver = name.rpartition(".")[0]
        settings |= {name: "", f"{driver}.required": "false"}
    return settings


async def _names(call: Call, pattern: str) -> Sequence[str]:
    most = 64 * 1024
    said = await git(
        call, "config", "--null", "--name-only", "--get-regexp", pattern, most=most, nothing=1
    )
    names = sorted(set(said.text.split("\0")) - {""})
    if said.size > most or any("=" in name or "\n" in name for name in names):
        raise GitError("the repository names filters for its files in a way that is not clear")
    return names
