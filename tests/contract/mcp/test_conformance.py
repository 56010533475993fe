"""MCP's own conformance suite against Stockade's server, in both revisions.

``expected.yaml`` lists what does not apply, with the reason. All else must pass, and what is listed
must still be refused by the suite, so that the list cannot outlive its reasons.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

_HERE = Path(__file__).parent


@pytest.fixture
def url() -> Iterator[str]:
    """Where the server is."""
    with subprocess.Popen(
        [sys.executable, _HERE / "served.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        yield process.stdout.readline().decode().strip()
        process.stdin.close()
        process.wait(timeout=60)


def _failed(results: Path) -> dict[str, set[str]]:
    """The checks that failed, by scenario; a scenario without any is there too."""
    found: dict[str, set[str]] = {}
    for path in sorted(results.glob("server-*/checks.json")):
        scenario = path.parent.name.removeprefix("server-")[: -len("-2026-11-24T19-09-26-603Z")]
        checks = json.loads(path.read_text())
        found[scenario] = {check["id"] for check in checks if check["status"] == "FAILURE"}
    return found


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_every_scenario_that_applies_passes(
    tool: Callable[[str], list[str]], url: str, tmp_path: Path, revision: str
) -> None:
    suite = [*tool("conformance"), "server", "--url", url, "--suite", "all"]
    done = subprocess.run(
        [*suite, "--spec-version", revision, "--output-dir", tmp_path / "results"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    found = _failed(tmp_path / "results")
    assert {"tools-list", "tools-call-simple-text", "dns-rebinding-protection"} <= set(found), (
        done.stdout + done.stderr
    )
    expected = yaml.safe_load((_HERE / "expected.yaml").read_text())[revision]
    failed = {scenario: sorted(checks) for scenario, checks in found.items() if checks}
    assert failed == {scenario: sorted(entry["checks"]) for scenario, entry in expected.items()}
    assert all(entry["reason"] for entry in expected.values())
