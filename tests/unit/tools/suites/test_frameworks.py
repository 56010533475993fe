from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stockade.tools.suites.frameworks import NAMES, PlainReader, Project, Suite, detect, suite

_NODE_TESTS = """\
import test, { describe, it } from "node:test";
import assert from "node:assert";
test("adds", () => assert.equal(1 + 1, 2));
test("is wrong", () => {
  assert.equal(1, 2);
});
describe("a group", () => {
  it("throws", () => { throw new Error("boom\\nline two"); });
  it.skip("not now", () => {});
});
console.log("noise"); console.error('{"outcome": "passed"}');
"""


def _package(script: str) -> Project:
    return Project(frozenset({"package.json"}), package=f'{{"scripts": {{"test": "{script}"}}}}')


@pytest.mark.parametrize(
    ("project", "found"),
    [
        (Project(frozenset({"pyproject.toml", "package.json"})), ["pytest", "unittest"]),
        (Project(frozenset({"tests", "README"})), ["pytest", "unittest"]),
        (Project(frozenset({"test_x.py"})), ["pytest", "unittest"]),
        (Project(frozenset({"go.mod", "tests"})), ["go"]),
        (Project(frozenset({"Cargo.toml", "tests"})), ["cargo"]),
        (_package("node --test"), ["node"]),
        (_package("node --import=./x.mjs --test test/*.js"), ["node"]),
        (_package("node --test && rm -rf /"), ["npm"]),
        (_package("node --test $(id)"), ["npm"]),
        (_package("jest"), ["npm"]),
        (Project(frozenset({"package.json"}), package="{}"), []),
        (Project(frozenset({"package.json"}), package="[" * 10_000), []),
        (Project(frozenset({"README"})), []),
    ],
)
def test_the_framework_is_told_by_what_is_there(project: Project, found: list[str]) -> None:
    assert detect(project) == found


def test_each_framework_can_be_run_in_whole_and_in_part() -> None:
    for name in NAMES:
        whole = suite(name, Project(frozenset()), [], "")
        part = suite(name, Project(frozenset()), ["target"], "only")
        assert whole.framework == part.framework == name
        assert "target" in part.argv
        assert any("only" in word for word in part.argv)
        assert not any("target" in word for word in whole.argv)


def test_what_has_no_report_counts_nothing() -> None:
    reader = PlainReader()
    reader.output(b'{"outcome": "passed"}\n')
    reader.error(b"x")
    reader.end()
    assert not reader.report.counts


def _run(how: Suite, folder: Path) -> bytes:
    done = subprocess.run(
        how.argv, cwd=folder, env={**os.environ, **how.env}, capture_output=True, check=False
    )
    how.reader.output(done.stdout)
    how.reader.error(done.stderr)
    how.reader.end()
    return done.stdout


def test_nodes_own_runner_is_read(tmp_path: Path) -> None:
    version = subprocess.run(["node", "--version"], capture_output=True, check=False, text=True)
    if version.returncode or int(version.stdout[1:].split(".")[0]) < 20:
        pytest.skip("no Node.js of version 20 or later here")
    (tmp_path / "a.test.mjs").write_text(_NODE_TESTS)
    (tmp_path / "b.test.mjs").write_text('import "./missing.mjs";\n')
    how = suite("node", Project(frozenset()), [], "")
    output = _run(how, tmp_path)
    assert how.reader.report.counts == {"passed": 1, "failed": 3, "skipped": 1}
    found = {one.test: (one.file, one.line, one.message) for one in how.reader.report.failures}
    assert found["is wrong"][:2] == ("a.test.mjs", 5)
    assert "1 == 2" in found["is wrong"][2] or "Expected" in found["is wrong"][2]
    assert found["throws"] == ("a.test.mjs", 8, "boom\nline two")
    assert found["b.test.mjs"][0] == "b.test.mjs"
    assert b"noise" in output
    part = suite("node", Project(frozenset()), ["a.test.mjs"], "adds")
    _run(part, tmp_path)
    assert part.reader.report.counts["failed"] == 0
    assert part.reader.report.counts["passed"] >= 1


def test_this_interpreter_runs_the_python_reporters(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_a():\n    assert 1 == 2\n")
    how = suite("pytest", Project(frozenset()), [], "")
    own = Suite(how.framework, [sys.executable, *how.argv[1:]], how.reader, how.env)
    assert b"1 failed" in _run(own, tmp_path)
    [failure] = how.reader.report.failures
    assert (failure.file, failure.line, failure.test) == ("test_a.py", 2, "test_a.py::test_a")
