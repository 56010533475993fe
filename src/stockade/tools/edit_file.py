"""``edit_file``: one passage of a file replaced by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.tools.base import Description, Result
from stockade.tools.read_file import LARGEST
from stockade.tools.tool import PATH, Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

MOST = 64 * 1024
"""Characters of either text; the record keeps the whole call."""

DESCRIPTION = Description(
    name="edit_file",
    title="Edit a file",
    text=(
        "Replaces the text `old` in a file by `new`. `old` must be in the file exactly once, to the"
        " character, white space and line ends included; give enough lines around the change."
    ),
    arguments=schema(
        {
            "path": PATH,
            "old": {"type": "string", "minLength": 1, "maxLength": MOST},
            "new": {"type": "string", "maxLength": MOST},
        }
    ),
    result=schema(
        {
            "path": {"type": "string", "description": "The file, all links followed."},
            "line": {"type": "integer", "description": "Where the new text begins."},
            "bytes": {"type": "integer", "description": "The file's size now."},
        }
    ),
    hints={"readOnlyHint": False, "destructiveHint": True, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """Edit the file that the gate has allowed; its other bytes stay as they are."""
    path = call.paths["path"]
    old, new = (str(call.arguments[name]).encode() for name in ("old", "new"))
    data = await call.machine.files.read_exact(path, limit=LARGEST)
    count = _occurrences(data, old)
    if count != 1:
        return Result(f"edit_file: {path} {_explain(data, old, count)}", failed=True)
    if old == new:
        return Result("edit_file: `old` and `new` are the same, so nothing changes", failed=True)
    start = data.index(old)
    edited = data[:start] + new + data[start + len(old) :]
    await call.machine.files.write_exact(path, edited)
    line = data.count(b"\n", 0, start) + 1
    return Result(
        f"edited {path} at line {line}", {"path": path, "line": line, "bytes": len(edited)}
    )


def _occurrences(data: bytes, part: bytes) -> int:
    """How often ``part`` is there, those that overlap included."""
    count, at = 0, data.find(part)
    while at >= 0:
        count, at = count + 1, data.find(part, at + 1)
    return count


def _explain(data: bytes, old: bytes, count: int) -> str:
    if count:
        lines: list[str] = []
        at = data.find(old)
        while at >= 0 and len(lines) < 5:
            lines.append(str(data.count(b"\n", 0, at) + 1))
            at = data.find(old, at + 1)
        more = ", ..." if count > len(lines) else ""
        return (
            f"has `old` {count} times (lines {', '.join(lines)}{more}), and it must be there once;"
            " give more of the text around it"
        )
    if b"\r\n" in data and old.replace(b"\n", b"\r\n") in data:
        return "does not have `old`: its lines end with CR LF, so write \\r\\n in `old` and `new`"
    if b" ".join(old.split()) in b" ".join(data.split()):
        return "has `old` only with other white space; read the file and copy it exactly"
    return "does not have `old`; read the file and copy the text exactly"


TOOL = Tool(DESCRIPTION, run)
