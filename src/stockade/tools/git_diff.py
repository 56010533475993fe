"""``git_diff``: the changes of the workspace, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.tools.base import Description, Result
from stockade.tools.git import REVISION, git, without_filters
from stockade.tools.tool import Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

DESCRIPTION = Description(
    name="git_diff",
    title="Git diff",
    text=(
        "Shows how tracked files of the workspace differ from the index, with `staged` how the"
        " index differs from the last commit, or with `base` how the files differ from a commit."
        " New files that are not added are in make_patch."
    ),
    arguments=schema(
        {
            "staged": {"type": "boolean", "default": False},
            "base": {**REVISION, "description": "A commit, branch or tag."},
            "files": {
                "type": "array",
                "maxItems": 100,
                "items": {"type": "string", "minLength": 1, "maxLength": 4096},
                "default": [],
                "description": "Only these files or folders, as git_status names them.",
            },
        },
        required=(),
    ),
    hints={"readOnlyHint": True, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """Ask git."""
    asked = call.arguments
    compared = (["--cached"] if asked["staged"] else []) + (
        [asked["base"]] if "base" in asked else []
    )
    said = await git(
        call,
        *(
            "diff",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=dirty",
            "--submodule=short",
        ),
        *(*compared, "--", *asked["files"]),
        settings=await without_filters(call),
    )
    return Result(said.text or "nothing differs")


TOOL = Tool(DESCRIPTION, run)
