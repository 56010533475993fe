"""Which framework a project's tests are of, and how they are run so that they can be counted."""

from __future__ import annotations

import base64
import json
import re
import shlex
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING

from stockade.tools.suites.cargo import CargoReader
from stockade.tools.suites.events import EventReader
from stockade.tools.suites.gotest import GoReader
from stockade.tools.suites.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stockade.tools.suites.report import Reader

NAMES = ("pytest", "unittest", "node", "npm", "go", "cargo")
_PYTHON = frozenset(
    {"pytest.ini", "conftest.py", "tox.ini", "setup.cfg", "setup.py", "pyproject.toml"}
)
_NODE = re.compile(r"node\s(?:[\w./=,:*-]+\s+)*--test(?:\s[\w./=,:*-]+)*\s*")
_MODULE = re.compile(r"^module\s+(\S{1,500})", re.MULTILINE)


class PlainReader:
    """For what has no report that could be read: its exit code alone tells."""

    def __init__(self) -> None:
        self.report = Report()

    def output(self, chunk: bytes) -> None:
        """Nothing can be counted."""

    def error(self, chunk: bytes) -> None:
        """Nor here."""

    def end(self) -> None:
        """Nor now."""


@dataclass(frozen=True)
class Suite:
    """A way to run the tests. ``reported`` says that standard error is the report alone."""

    framework: str
    argv: Sequence[str]
    reader: Reader
    env: Mapping[str, str] = field(default_factory=dict)
    reported: bool = False


@dataclass(frozen=True)
class Project:
    """What the choice rests on: the names in the workspace, and what two files say."""

    names: frozenset[str]
    package: str = ""
    """The text of package.json."""
    module: str = ""
    """The text of go.mod."""
    tests_without_init: str = ""
    """A folder of tests that is no package, as unittest must be told it."""


def detect(project: Project) -> list[str]:
    """The frameworks that the tests may be of, the likelier first; none if nothing tells."""
    if project.names & _PYTHON:
        return ["pytest", "unittest"]
    if "package.json" in project.names and (script := _script(project)):
        return ["node"] if _NODE.fullmatch(script) else ["npm"]
    if "go.mod" in project.names:
        return ["go"]
    if "Cargo.toml" in project.names:
        return ["cargo"]
    names = project.names
    if any(n in ("tests", "test") or re.fullmatch(r"test_.*\.py|.*_test\.py", n) for n in names):
        return ["pytest", "unittest"]
    return []


def suite(framework: str, project: Project, targets: Sequence[str], only: str) -> Suite:
    """How to run the tests, or those of ``targets`` alone whose names have ``only`` in them."""
    return _MAKERS[framework](project, targets, only)


def _pytest(_project: Project, targets: Sequence[str], only: str) -> Suite:
    # What is cached would change the workspace, or fail as it may not.
    options = ["-p", "no:cacheprovider", "--color=no", "--continue-on-collection-errors"]
    options += ["-k", only] if only else []
    argv = ["python3", "-c", _inside("pytest_reporter.py"), *options, *targets]
    return Suite("pytest", argv, EventReader(), _PYTHON_ENV, reported=True)


def _unittest(project: Project, targets: Sequence[str], only: str) -> Suite:
    options = ["-k", only] if only else []
    if targets:
        what = [*options, *targets]
    else:
        folder = project.tests_without_init
        what = ["discover", *options, *(["-s", folder] if folder else [])]
    argv = ["python3", "-c", _inside("unittest_reporter.py"), *what]
    return Suite("unittest", argv, EventReader(), _PYTHON_ENV, reported=True)


def _node(project: Project, targets: Sequence[str], only: str) -> Suite:
    script = _script(project)
    words = shlex.split(script)[1:] if _NODE.fullmatch(script) else ["--test"]
    words = [word for word in words if not word.startswith("--test-reporter")]
    code = base64.b64encode(_inside("node_reporter.mjs").encode()).decode()
    options = [
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        f"--test-reporter=data:text/javascript;base64,{code}",
        "--test-reporter-destination=stderr",
        *([f"--test-name-pattern={re.escape(only)}"] if only else []),
    ]
    if targets:
        words = [word for word in words if word.startswith("-")]
    return Suite("node", ["node", *options, *words, *targets], EventReader(), reported=True)


def _npm(_project: Project, targets: Sequence[str], only: str) -> Suite:
    words = [*targets, *([only] if only else [])]
    return Suite("npm", ["npm", "test", *(["--", *words] if words else [])], PlainReader())


def _go(project: Project, targets: Sequence[str], only: str) -> Suite:
    match = _MODULE.search(project.module)
    argv = ["go", "test", "-json", *(["-run", only] if only else []), *(targets or ["./..."])]
    return Suite("go", argv, GoReader(match[1] if match else ""))


def _cargo(_project: Project, targets: Sequence[str], only: str) -> Suite:
    words = [*targets, *([only] if only else [])]
    argv = ["cargo", "test", "--no-fail-fast", "--color=never", *(["--", *words] if words else [])]
    return Suite("cargo", argv, CargoReader(), {"RUST_BACKTRACE": "0"})


_PYTHON_ENV = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
_MAKERS = {
    "pytest": _pytest,
    "unittest": _unittest,
    "node": _node,
    "npm": _npm,
    "go": _go,
    "cargo": _cargo,
}


def _script(project: Project) -> str:
    """The command by which package.json has its tests run, or nothing."""
    try:
        script = json.loads(project.package)["scripts"]["test"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return script.strip() if isinstance(script, str) and len(script) < 1000 else ""


def _inside(name: str) -> str:
    """The text of a program that runs in the machine."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")
