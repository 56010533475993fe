"""``list_files``: the entries of a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stockade.tools.base import Description, Result
from stockade.tools.text import one_line
from stockade.tools.tool import PATH, WORKSPACE, Tool, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.tools.base import File
    from stockade.tools.tool import Call

MOST = 2000
_MARKS = {"directory": "/", "symlink": "@", "fifo": "|", "socket": "="}  # as ls -F has them

DESCRIPTION = Description(
    name="list_files",
    title="List a folder",
    text=(
        "Lists what is in one folder, not what is below it: name, kind and size in bytes. In the"
        " text a folder ends with /, a symbolic link with @."
    ),
    arguments=schema({"path": {**PATH, "default": WORKSPACE}}, required=()),
    result=schema(
        {
            "path": {"type": "string", "description": "The folder, all links followed."},
            "entries": {
                "type": "array",
                "items": schema(
                    {
                        "name": {"type": "string"},
                        "kind": {"type": "string"},
                        "size": {"type": "integer"},
                    }
                ),
            },
            "total": {"type": "integer", "description": "Entries of the folder."},
        }
    ),
    hints={"readOnlyHint": True, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """List the folder that the gate has allowed."""
    path = call.paths["path"]
    found = await call.machine.files.list_exact(path)
    shown = _fitting(found, call.output)
    lines = [f"{entry.size:>10}  {one_line(entry.name)}{_mark(entry)}" for entry in shown]
    if len(shown) < len(found):
        lines.append(f"[{len(found) - len(shown)} more entries; search_files looks below a folder]")
    entries = [{"name": _name(entry), "kind": entry.kind, "size": entry.size} for entry in shown]
    return Result(
        "\n".join(lines) or f"{path} is empty",
        {"path": path, "entries": entries, "total": len(found)},
    )


def _fitting(found: Sequence[File], most: int) -> Sequence[File]:
    size = 0
    for index, entry in enumerate(found[:MOST]):
        size += len(os.fsencode(entry.name)) + 16
        if size > most:
            return found[:index]
    return found[:MOST]


def _mark(entry: File) -> str:
    return _MARKS.get(entry.kind, "")


def _name(entry: File) -> str:
    return os.fsencode(entry.name).decode(errors="replace")


TOOL = Tool(DESCRIPTION, run)
