"""``git_log``: the last commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.tools.base import Description, Result
from stockade.tools.git import REVISION, git
from stockade.tools.tool import Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

_FIELDS = ("commit", "author", "date", "subject")

DESCRIPTION = Description(
    name="git_log",
    title="Git log",
    text="Shows the last commits of the workspace's repository: commit, author, date, subject.",
    arguments=schema(
        {
            "most": {"type": "integer", "minimum": 1, "maximum": 500, "default": 20},
            "revision": {**REVISION, "default": "HEAD", "description": "Where to begin."},
            "file": {"type": "string", "minLength": 1, "maxLength": 4096},
        },
        required=(),
    ),
    result=schema(
        {
            "commits": {
                "type": "array",
                "items": schema({name: {"type": "string"} for name in _FIELDS}),
            },
            "complete": {"type": "boolean", "description": "Whether no answer was cut."},
        }
    ),
    hints={"readOnlyHint": True, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """Ask git."""
    asked = call.arguments
    said = await git(
        call,
        *("log", f"--max-count={asked['most']}", "--no-show-signature", "--no-color", "-z"),
        *("--format=%H%x1f%an%x1f%aI%x1f%s", asked["revision"], "--"),
        *([asked["file"]] if "file" in asked else []),
    )
    whole = said.size <= call.output
    entries = said.head.split("\0")
    if not whole:
        entries.pop()
    commits = [
        dict(zip(_FIELDS, fields, strict=True))
        for entry in entries
        if len(fields := entry.split("\x1f")) == len(_FIELDS)
    ]
    lines = [f"{c['commit'][:12]} {c['date'][:10]} {c['author']}: {c['subject']}" for c in commits]
    if not whole:
        lines.append("[and more commits]")
    return Result("\n".join(lines) or "no commit", {"commits": commits, "complete": whole})


TOOL = Tool(DESCRIPTION, run)
