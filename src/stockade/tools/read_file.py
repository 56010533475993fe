"""``read_file``: text of a file, whole or some lines of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.model.quantities import MIB, format_size
from stockade.tools.base import Description, Result
from stockade.tools.tool import PATH, Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

LARGEST = 16 * MIB

DESCRIPTION = Description(
    name="read_file",
    title="Read a file",
    text=(
        "Reads a text file (UTF-8). Of a long one it gives the first lines that fit and says at"
        " which line to go on; ask for a part with `offset` (a line, from 1) and `limit` (lines)."
    ),
    arguments=schema(
        {
            "path": PATH,
            "offset": {"type": "integer", "minimum": 1, "default": 1, "description": "First line."},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1_000_000,
                "default": 2000,
                "description": "Lines at most.",
            },
        },
        required=("path",),
    ),
    result=schema(
        {
            "path": {"type": "string", "description": "The file, all links followed."},
            "first_line": {"type": "integer"},
            "lines": {"type": "integer", "description": "Lines in this answer."},
            "total_lines": {"type": "integer", "description": "Lines of the file."},
            "complete": {"type": "boolean", "description": "Whether this is all of the file."},
        }
    ),
    hints={"readOnlyHint": True, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """Read the file that the gate has allowed."""
    path = call.paths["path"]
    data = await call.machine.files.read_exact(path, limit=LARGEST)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_text(path, f"byte {data[error.start]:#04x} at {error.start} is not UTF-8", data)
    if "\0" in text:
        return _not_text(path, "it has NUL characters", data)
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    first, most = int(call.arguments["offset"]), int(call.arguments["limit"])
    if first > max(len(lines), 1):
        return Result(f"{path} has {len(lines)} lines; {first} is behind its end", failed=True)
    shown = _fitting(lines[first - 1 : first - 1 + most], call.output)
    rest = len(lines) - (first - 1 + len(shown))
    if rest and not shown:
        shown = [_cut(lines[first - 1], call.output)]
        rest -= 1
    ended = "\n" if shown and (rest or text.endswith("\n")) else ""
    content = "\n".join(shown) + ended
    if rest:
        content += f"[{rest} more lines; go on with offset={first + len(shown)}]\n"
    return Result(
        content,
        data={
            "path": path,
            "first_line": first,
            "lines": len(shown),
            "total_lines": len(lines),
            "complete": len(shown) == len(lines),
        },
    )


def _fitting(lines: list[str], most: int) -> list[str]:
    """The first lines that are ``most`` bytes together."""
    size = 0
    for index, line in enumerate(lines):
        size += len(line.encode()) + 1
        if size > most:
            return lines[:index]
    return lines


def _cut(line: str, most: int) -> str:
    """The beginning of a line that is longer than an answer may be."""
    kept = line.encode()[:most].decode(errors="ignore")
    return f"{kept} [... {len(line) - len(kept)} more characters of this line ...]"


def _not_text(path: str, why: str, data: bytes) -> Result:
    size = format_size(len(data), exact=False)
    return Result(f"{path} ({size}) is not text: {why}; read_file reads text only", failed=True)


TOOL = Tool(DESCRIPTION, run)
