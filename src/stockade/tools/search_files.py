"""``search_files``: text or a regular expression in the files below a folder."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any

import anyio

from stockade.tools.base import Description, Result
from stockade.tools.globs import expression
from stockade.tools.text import one_line
from stockade.tools.tool import PATH, WORKSPACE, Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

_ANSWER = 4 * 1024 * 1024  # bytes taken of the machine's answer
_ALL = r"[\s\S]*"

DESCRIPTION = Description(
    name="search_files",
    title="Search in files",
    text=(
        "Looks for text, or with `regex` for a Python regular expression, line by line in the files"
        " below `path` that may be read. Not looked into: links, binary files, files over 4 MiB or"
        " with several names, and .git."
    ),
    arguments=schema(
        {
            "pattern": {"type": "string", "minLength": 1, "maxLength": 1000},
            "path": {**PATH, "default": WORKSPACE},
            "regex": {"type": "boolean", "default": False},
            "ignore_case": {"type": "boolean", "default": False},
            "names": {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "default": "*",
                "description": "Only files with such a name, for example *.py",
            },
            "most": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        },
        required=("pattern",),
    ),
    result=schema(
        {
            "matches": {
                "type": "array",
                "items": schema(
                    {
                        "path": {"type": "string"},
                        "line": {"type": "integer"},
                        "text": {"type": "string"},
                    }
                ),
            },
            "files": {"type": "integer", "description": "Files looked at."},
            "skipped": {"type": "integer", "description": "Of these, those not looked into."},
            "complete": {"type": "boolean", "description": "Whether these are all matches."},
        }
    ),
    hints={"readOnlyHint": True, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """Search below the folder that the gate has allowed, within the globs of the grant."""
    asked = call.arguments
    text = str(asked["pattern"])
    question = {
        "expression": ("(?i)" if asked["ignore_case"] else "")
        + (text if asked["regex"] else re.escape(text)),
        "names": fnmatch.translate(str(asked["names"])),
        "within": expression(call.grant.paths) if call.grant.paths else _ALL,
        "most": asked["most"],
    }
    answer = _Answer(int(asked["most"]), call.output)
    with anyio.move_on_at(call.deadline) as time:
        await call.machine.files.search(call.paths["path"], question, answer.take, limit=_ANSWER)
    return answer.result(late=time.cancelled_caught)


class _Answer:
    """What the machine says, line by line, believed only as far as it has the right shape."""

    def __init__(self, most: int, output: int) -> None:
        self._most, self._room = most, output
        self._matches: list[dict[str, Any]] = []
        self._complete = True
        self._end: dict[str, Any] = {}

    def take(self, line: dict[str, Any]) -> None:
        if "path" not in line:
            self._end = line
            return
        number = line.get("line")
        path, text = one_line(line["path"], 4096), one_line(line.get("text", ""))
        match = {"path": path, "line": number if type(number) is int else 0, "text": text}
        self._room -= len(path.encode()) + len(text.encode()) + 16
        if self._room < 0 or len(self._matches) >= self._most:
            self._complete = False
            return
        self._matches.append(match)

    def result(self, *, late: bool) -> Result:
        files, skipped = (_count(self._end.get(name)) for name in ("files", "skipped"))
        complete = self._complete and self._end.get("complete") is True
        lines = [f"{one['path']}:{one['line']}: {one['text']}" for one in self._matches]
        if late:
            lines.append("[ended for its time: the search is not complete; ask for less]")
        elif not complete:
            lines.append("[there are more; ask for less: a folder below, `names`, another pattern]")
        elif not lines:
            lines.append(f"nothing found in {files} files ({skipped} of them not looked into)")
        data = {"matches": self._matches, "files": files, "skipped": skipped, "complete": complete}
        return Result("\n".join(lines), data, failed=late and not self._matches)


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 31 else 0


TOOL = Tool(DESCRIPTION, run, timeout=30.0)
