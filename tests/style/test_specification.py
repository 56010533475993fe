"""SPECIFICATION.md: every promise is numbered once and names tests that exist."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_HEADING = re.compile(r"### (S-[a-z]+(?:-[a-z]+)*-[1-9][0-9]*) (\S.*)")
_ENFORCED = "Enforced by:"
_TEST = re.compile(r"(tests/[\w/]+/test_\w+\.py|tests/test_\w+\.py)::((?:Test\w+::)?test_\w+)")


@dataclass
class _Promise:
    name: str
    line: int
    text: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)


def _promises(specification: str) -> tuple[list[_Promise], list[str]]:
    """Read the promises, and say what could not be read."""
    promises: list[_Promise] = []
    problems: list[str] = []
    enforcing = False
    for number, line in enumerate(specification.splitlines(), start=1):
        if line.startswith("#"):
            enforcing = False
            heading = _HEADING.fullmatch(line.rstrip())
            if heading:
                promises.append(_Promise(heading[1], number))
            elif re.match(r"#+\s*S-", line):
                problems.append(f"line {number}: not '### S-<area>-<n> <title>': {line}")
        elif not promises:
            continue
        elif enforcing and line.strip():  # the list may run over several lines
            promises[-1].tests += _names(line)
        elif line.startswith(_ENFORCED):
            enforcing = True
            promises[-1].tests += _names(line.removeprefix(_ENFORCED))
        else:
            enforcing = False
            promises[-1].text.append(line)
    return promises, problems


def _names(line: str) -> list[str]:
    return [name for part in line.split(",") if (name := part.strip().strip("`").rstrip("."))]


def _exists(root: Path, test: str) -> bool:
    match = _TEST.fullmatch(test)
    if match is None or not (root / match[1]).is_file():
        return False
    *owner, name = match[2].split("::")
    body = ast.parse((root / match[1]).read_text(encoding="utf-8")).body
    for wanted in owner:
        body = [
            inner
            for node in body
            if isinstance(node, ast.ClassDef) and node.name == wanted
            for inner in node.body
        ]
    functions = (node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(function.name == name for function in functions)


def _violations(root: Path, specification: str) -> list[str]:
    promises, problems = _promises(specification)
    if not promises:
        problems.append("there is no promise")
    seen: set[str] = set()
    for promise in promises:
        where = f"line {promise.line}: {promise.name}"
        if promise.name in seen:
            problems.append(f"{where} is numbered twice")
        seen.add(promise.name)
        if not "".join(promise.text).strip():
            problems.append(f"{where} says nothing")
        if not promise.tests:
            problems.append(f"{where} is enforced by no test")
        problems += [
            f"{where}: there is no test {test}" for test in promise.tests if not _exists(root, test)
        ]
    return problems


def test_every_promise_is_kept_by_a_test_that_exists(root: Path) -> None:
    specification = root / "SPECIFICATION.md"
    if not specification.exists():
        pytest.skip("SPECIFICATION.md is not written yet")
    problems = _violations(root, specification.read_text(encoding="utf-8"))
    assert not problems, "\n".join(problems)


_HERE = "tests/style/test_specification.py"
_GOOD = f"""\
# Specification

## Walls

### S-wall-1 A wall stands

It does.

Enforced by: `{_HERE}::test_the_checker_accepts_what_is_right`,
{_HERE}::test_the_checker_finds_what_is_wrong
"""


def test_the_checker_accepts_what_is_right(root: Path) -> None:
    assert _violations(root, _GOOD) == []
    assert len(_promises(_GOOD)[0][0].tests) == 2


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (_GOOD, "", "there is no promise"),
        ("S-wall-1 A", "S-wall-0 A", "not '### S-<area>-<n> <title>'"),
        ("### S-wall", "## S-wall", "not '### S-<area>-<n> <title>'"),
        ("It does.", "", "says nothing"),
        ("Enforced by:", "Kept by:", "is enforced by no test"),
        ("::test_the_checker_f", "::test_nothing_f", "there is no test"),
        ("tests/style/", "tests/elsewhere/", "there is no test"),
        ("::test_the_checker_f", "::TestWalls::test_the_checker_f", "there is no test"),
        ("## Walls", "### S-wall-1 Another\n\nYes.\n", "is numbered twice"),
    ],
)
def test_the_checker_finds_what_is_wrong(root: Path, before: str, after: str, problem: str) -> None:
    assert before in _GOOD
    assert any(problem in found for found in _violations(root, _GOOD.replace(before, after)))
