"""What an agent does with scoped tools: find a bug, fix it in a copy, hand out a patch.

The agent's part is played by a fixed list of steps, so no language model is needed; all else is
real: MCP's own client starts ``stockade mcp``, whose tools work on a Git repository in a microVM.
Then a profile is learned from the journal, and the same steps are done again under that.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from rich.console import Console

from stockade.audit.journal import read_decisions
from stockade.cli.messages import printable
from stockade.cli.tables import print_table
from stockade.model.action import ToolCall
from stockade.sandbox.converse import first_cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp.types import CallToolResult

FILES = {
    "median.py": '''\
"""The middle of some numbers."""


def median(values: list[float]) -> float:
    """Half of the values are at most this, and half are at least this."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
''',
    "tests/test_median.py": """\
import pytest
from median import median


@pytest.mark.parametrize(
    ("values", "middle"), [([7], 7), ([9, 1, 5], 5), ([4, 1, 3, 2], 2.5), ([-1, 1], 0)]
)
def test_median(values, middle):
    assert median(values) == middle
""",
    "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
}
PROFILE = """\
version: 1
name: fix-a-bug
files:
  - {host: ./project, guest: /workspace, access: overlay}
tools:
  read_file: {paths: ["/workspace/*.py", "/workspace/tests/**"]}
  edit_file: {paths: ["/workspace/*.py", "/workspace/tests/**"]}
  run_tests: {timeout: 2m}
  make_patch: {}
"""


class StepError(Exception):
    """A step did not come out as it should."""


@dataclass(frozen=True)
class Step:
    """A call that the agent makes; ``read`` says in one line what came of it, or fails."""

    tool: str
    read: Callable[[CallToolResult], str]
    arguments: dict[str, Any] = field(default_factory=dict)


def _text(result: CallToolResult) -> str:
    return "\n".join(getattr(block, "text", "") for block in result.content)


def _data(result: CallToolResult) -> dict[str, Any]:
    if result.is_error or not isinstance(result.structured_content, dict):
        raise StepError(_text(result))
    return result.structured_content


def _allowed(result: CallToolResult) -> str:
    if result.is_error:
        raise StepError(_text(result))
    return _text(result).splitlines()[0]


def _refused(result: CallToolResult) -> str:
    said = _text(result)
    if not result.is_error or "read_file may touch /workspace/" not in said:
        raise StepError(f"not refused with what is allowed: {said}")
    return said


def _tests(passed: int, failed: int) -> Callable[[CallToolResult], str]:
    def read(result: CallToolResult) -> str:
        data = _data(result)
        if (data["passed"], data["failed"]) != (passed, failed):
            raise StepError(f"{passed} passed and {failed} failed were expected: {_text(result)}")
        counts = f"{passed} passed, {failed} failed"
        places = [
            f"{one['file']}:{one['line']}: {one['message'].splitlines()[0]}"
            for one in data["failures"]
        ]
        return "; ".join([counts, *places[:1]])

    return read


STEPS = (
    Step("read_file", _allowed, {"path": "median.py"}),
    Step("read_file", _refused, {"path": ".git/config"}),
    Step("run_tests", _tests(passed=2, failed=2)),
    Step(
        "edit_file",
        _allowed,
        {
            "path": "median.py",
            "old": "    return ordered[len(ordered) // 2]\n",
            "new": "    middle = len(ordered) // 2\n"
            "    return (ordered[middle] + ordered[~middle]) / 2\n",
        },
    ),
    Step("run_tests", _tests(passed=4, failed=0)),
    Step(
        "make_patch",
        lambda result: f"{len(_data(result)['files'])} file",
        {"message": "Take the mean of the two values in the middle"},
    ),
)


@dataclass(frozen=True)
class Run:
    """What one run of the steps leaves: its journal and its patch."""

    journal: Path
    patch: str


def git(folder: Path, *words: str, stdin: str = "") -> str:
    """Run git as nobody in particular, whatever this user's settings are."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=Ann Example", "-c", "user.email=ann@example.org")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words],
        env={**os.environ, **own},
        input=stdin,
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def make_project(folder: Path) -> Path:
    """Make the repository and a profile beside it; return the profile's path."""
    for name, text in FILES.items():
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(folder, "init", "--quiet", "project")
    git(folder / "project", "add", ".")
    git(folder / "project", "commit", "--quiet", "--message", "Find the median")
    profile = folder / "wide.yaml"
    profile.write_text(PROFILE, encoding="utf-8")
    return profile


def program() -> str:
    """The ``stockade`` command of this Python."""
    return str(Path(sys.executable).with_name("stockade"))


async def work(
    profile: Path, environment: Mapping[str, str], tell: Callable[[Step, str], None]
) -> Run:
    """Start the server, take all steps, and tell of each; ``StepError`` if one goes wrong."""
    server = StdioServerParameters(
        command=program(), args=["mcp", "--profile", str(profile)], env=dict(environment)
    )
    patch = ""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        try:
            async with Client(stdio_client(server, errlog=errors)) as client:
                for step in STEPS:
                    result = await client.call_tool(step.tool, step.arguments)
                    tell(step, step.read(result))
                    if step.tool == "make_patch":
                        patch = _data(result)["patch"]
        except (ExceptionGroup, MCPError, OSError, StepError) as error:
            cause = first_cause(error) if isinstance(error, ExceptionGroup) else error
            errors.seek(0)
            raise StepError(f"{cause}\n{errors.read()}".rstrip()) from None
        errors.seek(0)
        journal = re.findall(r"journal (.+)", errors.read())[0]
    return Run(Path(journal), patch)


def learn(run: Run, base: Path, environment: Mapping[str, str]) -> Path:
    """Have ``stockade policy learn`` write the profile that the journal needs, beside ``base``."""
    learned = base.with_name("learned.yaml")
    subprocess.run(
        [
            *(program(), "policy", "learn", str(run.journal)),
            *("--profile", str(base), "--output", str(learned)),
        ],
        env=dict(environment),
        check=True,
    )
    return learned


def show_journal(journal: Path) -> None:
    """Print the verdicts of a journal as a table."""
    rows = []
    for event in read_decisions(journal):
        if isinstance(event.action, ToolCall):
            about = str(event.action.arguments.get("path", ""))
            rows.append((event.action.tool, about, event.verdict.effect, event.verdict.rule))
    print_table(("tool", "path", "verdict", "rule"), rows)


async def demonstrate(folder: Path) -> None:
    """Do all of it in ``folder``, and show it."""
    out = Console(highlight=False, soft_wrap=True)
    environment = {**os.environ, "STOCKADE_STATE_DIR": str(folder / "state")}
    wide = make_project(folder)

    def title(text: str) -> None:
        out.print(f"\n{text}", style="bold", markup=False)

    def tell(step: Step, said: str) -> None:
        about = str(step.arguments.get("path", ""))
        out.print(f"  {step.tool:11} {about:12} {printable(said)}".rstrip(), markup=False)

    title("An agent fixes a bug with the tools of a profile, in a machine of its own")
    first = await work(wide, environment, tell)

    git(folder, "clone", "--quiet", "project", "fixed")
    git(folder / "fixed", "am", "--quiet", stdin=first.patch)
    title("Its patch, applied on the host by git am")
    shown = git(folder / "fixed", "show", "--format=%h %an: %s", "--unified=0", "HEAD")
    for line in shown.splitlines():
        if line and not line.startswith(("diff ", "index ", "--- ", "+++ ")):
            style = {"+": "green", "-": "red"}.get(line[0], "dim")
            out.print(f"  {printable(line)}", style=style, markup=False)

    title("What the gate decided")
    show_journal(first.journal)

    title("The least profile that allows it, by stockade policy learn")
    learned = learn(first, wide, environment)
    for line in learned.read_text(encoding="utf-8").splitlines():
        out.print(f"  {line}", markup=False)

    title("The same steps under that profile")
    started = time.monotonic()
    await work(learned, environment, lambda _step, _said: None)
    out.print(f"  all {len(STEPS)} as before, in {time.monotonic() - started:.1f} s")


def main() -> int:
    """Show it; 1 if a step fails."""
    with tempfile.TemporaryDirectory(prefix="stockade-demo-") as folder:
        try:
            anyio.run(demonstrate, Path(folder))
        except (StepError, subprocess.CalledProcessError) as error:
            print(f"stockade: a step of the demo failed: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
