"""``write_file``: a whole text file, new or in place of what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.tools.base import Description, Result
from stockade.tools.tool import PATH, Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

MOST = 128 * 1024
"""Characters; the record keeps the whole call, and has a bound for it."""

DESCRIPTION = Description(
    name="write_file",
    title="Write a file",
    text=(
        "Puts text (UTF-8) in place of a file, whole or not at all; missing folders are made. To"
        " change a part of a file use edit_file."
    ),
    arguments=schema(
        {
            "path": PATH,
            "content": {"type": "string", "maxLength": MOST, "description": "All of its text."},
        }
    ),
    result=schema(
        {
            "path": {"type": "string", "description": "The file, all links followed."},
            "bytes": {"type": "integer", "description": "Its size now."},
        }
    ),
    hints={
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": True,
        "openWorldHint": False,
    },
)


async def run(call: Call) -> Result:
    """Write the file that the gate has allowed."""
    path, content = call.paths["path"], str(call.arguments["content"]).encode()
    await call.machine.files.write_exact(path, content)
    return Result(f"wrote {len(content)} bytes to {path}", {"path": path, "bytes": len(content)})


TOOL = Tool(DESCRIPTION, run)
