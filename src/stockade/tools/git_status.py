"""``git_status``: what has changed in the workspace since the last commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.tools.base import Description, Result
from stockade.tools.git import git, without_filters
from stockade.tools.tool import Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

DESCRIPTION = Description(
    name="git_status",
    title="Git status",
    text="Shows the branch and which files of the workspace are changed, staged or new.",
    arguments=schema({}),
    result=schema(
        {
            "branch": {"type": "string", "description": "Or nothing where HEAD is a commit."},
            "commit": {"type": "string", "description": "The last one; nothing before the first."},
            "files": {
                "type": "array",
                "items": schema(
                    {
                        "path": {"type": "string"},
                        "status": {"type": "string", "description": "Two letters, git-status(1)."},
                    }
                ),
            },
            "complete": {"type": "boolean"},
        }
    ),
    hints={"readOnlyHint": True, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """Ask git."""
    said = await git(
        call,
        *("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"),
        *("--ignore-submodules=dirty", "--no-renames", "--no-ahead-behind"),
        settings=await without_filters(call),
    )
    whole = said.size <= call.output
    fields = said.head.split("\0")
    if not whole:
        fields.pop()  # where it was cut
    heads: dict[str, str] = {}
    files: list[dict[str, str]] = []
    for field in fields:
        kind, _, rest = field.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            heads[name] = value
        elif kind == "?":
            files.append({"path": rest, "status": "??"})
        elif kind in ("1", "u"):
            # Numbers of fields before the path: git-status(1), Changed Tracked Entries.
            words = rest.split(" ", 7 if kind == "1" else 9)
            files.append({"path": words[-1], "status": words[0]})
    branch, commit = heads.get("branch.head", ""), heads.get("branch.oid", "")
    data = {
        "branch": "" if branch == "(detached)" else branch,
        "commit": "" if commit == "(initial)" else commit,
        "files": files,
        "complete": whole,
    }
    lines = [f"on {branch} at {commit[:12]}", *(f"{one['status']} {one['path']}" for one in files)]
    if not files:
        lines.append("nothing has changed")
    if not whole:
        lines.append("[and more files]")
    return Result("\n".join(lines), data)


TOOL = Tool(DESCRIPTION, run)
