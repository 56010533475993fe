"""``run_tests``: the project's test suite, and what came of it as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stockade.model.errors import RequestError
from stockade.model.exitcodes import NOT_FOUND, TIMED_OUT
from stockade.model.quantities import format_duration
from stockade.tools.base import Description, Result
from stockade.tools.running import run as run_program
from stockade.tools.suites.frameworks import NAMES, Project, Suite, detect, suite
from stockade.tools.suites.report import ERROR, FAILED, OUTCOMES, Failure, Report
from stockade.tools.text import Clip
from stockade.tools.tool import WORKSPACE, Tool, schema

if TYPE_CHECKING:
    from stockade.model.outcome import Outcome
    from stockade.tools.tool import Call

_LARGEST = 256 * 1024  # bytes of a project's own files that are looked into

DESCRIPTION = Description(
    name="run_tests",
    title="Run the tests",
    text=(
        "Runs the test suite of /workspace (pytest, unittest, node --test, npm test, go test or"
        " cargo test, whichever it is) and gives counts, and each failure with file, line and"
        " message."
    ),
    arguments=schema(
        {
            "framework": {"enum": list(NAMES), "description": "Where it is not clear by itself."},
            "targets": {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1000,
                    "pattern": "^[^-\\x00][^\\x00]*$",
                },
                "default": [],
                "description": "Only these, as the framework names them: files, tests, packages.",
            },
            "only": {
                "type": "string",
                "maxLength": 500,
                "pattern": "^[^-\\x00][^\\x00]*$",
                "description": "Only tests whose names have this in them.",
            },
        },
        required=(),
    ),
    result=schema(
        {
            "framework": {"type": "string"},
            "success": {"type": "boolean", "description": "Whether all went well."},
            **{outcome: {"type": "integer"} for outcome in OUTCOMES},
            "failures": {
                "type": "array",
                "items": schema(
                    {
                        "test": {"type": "string"},
                        "file": {"type": "string", "description": "Or nothing if not known."},
                        "line": {"type": "integer", "description": "0 if not known."},
                        "message": {"type": "string"},
                    }
                ),
            },
            "seconds": {"type": "number"},
            "exit_code": {"type": "integer"},
            "reason": {"type": "string", "description": "What ended it early, or nothing."},
            "output": {"type": "string", "description": "What it said, cut in the middle."},
        }
    ),
    hints={"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False},
)


async def run(call: Call) -> Result:
    """Find out how, run the tests, and report. Tests that fail are no failure of the tool."""
    asked = call.arguments
    project = await _look(call)
    names = [asked["framework"]] if "framework" in asked else detect(project)
    if not names:
        return Result(
            f"run_tests: nothing in {WORKSPACE} says what its tests are of; name the `framework`",
            failed=True,
        )
    for name in names:
        how = suite(name, project, asked["targets"], asked.get("only", ""))
        output = Clip(call.output // 2)
        outcome = await _run(call, how, output)
        if not how.reader.report.problem:
            break
    return _result(call, how, outcome, output)


async def _run(call: Call, how: Suite, output: Clip) -> Outcome | None:
    def take_output(chunk: bytes) -> None:
        output.add(chunk)
        how.reader.output(chunk)

    def take_error(chunk: bytes) -> None:
        if not how.reported:
            output.add(chunk)
        how.reader.error(chunk)

    def words() -> str:
        return f"{how.framework}: {_counted(how.reader.report) or 'no test has ended yet'}"

    outcome = await run_program(call, how.argv, take_output, take_error, env=how.env, words=words)
    how.reader.end()
    return outcome


async def _look(call: Call) -> Project:
    files = call.machine.files
    listed = {entry.name: entry.kind for entry in await files.list_exact(WORKSPACE)}

    async def text(name: str) -> str:
        if name not in listed:
            return ""
        try:
            data = await files.read_exact(f"{WORKSPACE}/{name}", limit=_LARGEST)
        except RequestError:
            return ""
        return data.decode(errors="replace")

    bare = ""
    for folder in ("tests", "test"):
        if listed.get(folder) == "directory" and not bare:
            inside = await files.list_exact(f"{WORKSPACE}/{folder}")
            bare = "" if any(entry.name == "__init__.py" for entry in inside) else folder
    return Project(frozenset(listed), await text("package.json"), await text("go.mod"), bare)


def _result(call: Call, how: Suite, outcome: Outcome | None, output: Clip) -> Result:
    report = how.reader.report
    if outcome:
        code, reason, seconds = outcome.code, outcome.reason, outcome.usage.wall
    else:
        code, seconds = TIMED_OUT, call.timeout
        reason = f"ended after {format_duration(call.timeout)}, the time that a call may take"
    if code == NOT_FOUND and not sum(report.counts.values()):
        reason = reason or f"this image has no {how.argv[0]}"
    reason = reason or report.problem
    failures = _fitting(report.failures, call.output // 2)
    bad = report.counts[FAILED] + report.counts[ERROR]
    data: dict[str, Any] = {
        "framework": how.framework,
        "success": code == 0 and not bad and not reason,
        **{outcome: report.counts[outcome] for outcome in OUTCOMES},
        "failures": [failure.as_data() for failure in failures],
        "seconds": round(seconds, 3),
        "exit_code": code,
        "reason": reason,
        "output": output.text,
    }
    # Tests that fail make an exit code other than 0; without one of them something else did.
    broken = bool(reason) or (code != 0 and not bad)
    text = _text(how, report, failures, data)
    return Result(text + (f"\n--- output\n{output.text}" if broken else ""), data, broken)


def _counted(report: Report) -> str:
    return ", ".join(f"{report.counts[one]} {one}" for one in OUTCOMES if report.counts[one])


def _text(how: Suite, report: Report, failures: list[Failure], data: dict[str, Any]) -> str:
    counted = _counted(report) or f"no test was counted, exit code {data['exit_code']}"
    lines = [f"{how.framework}: {counted} in {data['seconds']:.1f} s"]
    if data["reason"]:
        lines.append(f"it did not come to its end: {data['reason']}")
    for failure in failures:
        place = f"{failure.file}:{failure.line}: " if failure.file else ""
        lines.append(f"\n{place}{failure.test}\n{failure.message}")
    left = report.counts[FAILED] + report.counts[ERROR] - len(failures)
    if left > 0:
        lines.append(f"\n[{left} more failures]")
    return "\n".join(lines)


def _fitting(failures: list[Failure], most: int) -> list[Failure]:
    size = 0
    for index, one in enumerate(failures):
        size += len(one.test.encode()) + len(one.file.encode()) + len(one.message.encode()) + 64
        if size > most:
            return failures[:index]
    return failures


TOOL = Tool(DESCRIPTION, run, timeout=600.0)
