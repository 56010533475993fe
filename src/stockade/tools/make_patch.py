"""``make_patch``: all changes of the workspace as one patch that ``git am`` takes.

The repository is left as it is: index and objects that the patch needs are made elsewhere.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import anyio

from stockade.tools.base import Description, Result
from stockade.tools.git import REVISION, GitError, git, without_filters
from stockade.tools.tool import WORKSPACE, Tool, schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.tools.tool import Call

DESCRIPTION = Description(
    name="make_patch",
    title="Make a patch",
    text=(
        "Gives all changes of the workspace against a commit as one patch in the form of git"
        " format-patch, new and deleted files included, ignored ones not. The workspace must be a"
        " git repository."
    ),
    arguments=schema(
        {
            "message": {
                "type": "string",
                "minLength": 1,
                "maxLength": 10_000,
                "pattern": "^[^\\x00]*$",
                "default": "Changes made in the workspace",
                "description": "What the commit says; its first line is the subject.",
            },
            "base": {
                **REVISION,
                "default": "HEAD",
                "description": "The commit to compare with; commits since then are in the patch.",
            },
        },
        required=(),
    ),
    result=schema(
        {
            "base": {"type": "string", "description": "The commit that the patch applies to."},
            "patch": {"type": "string", "description": "Empty if nothing has changed."},
            "files": {"type": "array", "items": {"type": "string"}},
        }
    ),
    hints={"readOnlyHint": True, "openWorldHint": False},
)
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-renames")
_GRACE = 4.0  # seconds for tidying up
_WHO = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Stockade agent"), ("EMAIL", "agent@stockade.invalid"))
}


async def run(call: Call) -> Result:
    """Make the commit that is not in the repository, and its patch."""
    settings = await without_filters(call)
    scratch = f"/tmp/patch-{secrets.token_hex(8)}"  # noqa: S108 - in the machine
    env = {
        **_WHO,
        "GIT_INDEX_FILE": f"{scratch}/index",
        "GIT_OBJECT_DIRECTORY": scratch,
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{WORKSPACE}/.git/objects",
    }

    async def ask(*arguments: str, most: int = 4096, env: Mapping[str, str] = env) -> str:
        said = await git(call, *arguments, settings=settings, env=env, most=most)
        if said.size > most:
            raise GitError(
                f"git {arguments[0]} says more than the {most} bytes allowed; a smaller change, or"
                " a larger `output` of make_patch in the profile"
            )
        return said.text

    named = f"{call.arguments['base']}^{{commit}}"
    base = (await ask("rev-parse", "--verify", "--end-of-options", named, env={})).strip()
    await call.machine.exec(["mkdir", "-m", "700", scratch])
    try:
        await ask("read-tree", base)
        await ask("add", "--all", "--", ".")
        tree = (await ask("write-tree")).strip()
        message = str(call.arguments["message"])
        commit = (await ask("commit-tree", tree, "-p", base, "-m", message)).strip()
        names = await ask("diff", *_PLAIN, "--name-only", "-z", base, commit, most=call.output)
        patch = ""
        if names:
            patch = await ask(
                *("format-patch", "--stdout", "-1", "--binary", *_PLAIN), commit, most=call.output
            )
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_GRACE):
            await call.machine.exec(["rm", "-rf", scratch])
    files = [name for name in names.split("\0") if name]
    data = {"base": base, "patch": patch, "files": files}
    return Result(patch or "nothing has changed, so there is no patch", data)


TOOL = Tool(DESCRIPTION, run, output=1024 * 1024)
