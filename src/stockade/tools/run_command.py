"""``run_command``: one of the commands that the profile lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.model.quantities import format_duration
from stockade.tools.base import Description, Result
from stockade.tools.running import run as run_program
from stockade.tools.text import Clip
from stockade.tools.tool import Tool, schema

if TYPE_CHECKING:
    from stockade.tools.tool import Call

DESCRIPTION = Description(
    name="run_command",
    title="Run a command",
    text=(
        "Runs one of the commands that the profile allows, in /workspace. `argv` is the program and"
        " its arguments, word by word. There is no shell: no pipes, globs or variables."
    ),
    arguments=schema(
        {
            "argv": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1024,
                "items": {"type": "string", "maxLength": 64 * 1024, "pattern": "^[^\\x00]*$"},
            }
        }
    ),
    result=schema(
        {
            "exit_code": {"type": "integer", "description": "128+n after signal n."},
            "reason": {"type": "string", "description": "What ended it early, or nothing."},
            "seconds": {"type": "number"},
            "stdout": {"type": "string"},
            "stderr": {"type": "string"},
        }
    ),
    hints={"readOnlyHint": False, "destructiveHint": True, "openWorldHint": False},
)
TIMED_OUT = 124


async def run(call: Call) -> Result:
    """Run the command that the gate has allowed. Its own failure is no failure of the tool."""
    output, errors = Clip(call.output // 2), Clip(call.output // 2)
    outcome = await run_program(call, call.arguments["argv"], output.add, errors.add)
    if outcome:
        code, reason, seconds = outcome.code, outcome.reason, outcome.usage.wall
    else:
        code, seconds = TIMED_OUT, call.timeout
        reason = f"ended after {format_duration(call.timeout)}, the time that a call may take"
    parts = [f"exit code {code}" + (f": {reason}" if reason else "")]
    for name, said in (("stdout", output), ("stderr", errors)):
        if said.size:
            parts.append(f"--- {name}\n{said.text}")
    data = {
        "exit_code": code,
        "reason": reason,
        "seconds": round(seconds, 3),
        "stdout": output.text,
        "stderr": errors.text,
    }
    return Result("\n".join(parts), data, failed=outcome is None)


TOOL = Tool(DESCRIPTION, run, timeout=120.0)
