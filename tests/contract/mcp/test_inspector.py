"""The MCP inspector's command line, used on ``stockade mcp`` and a real machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.machine

_PROFILE = """
version: 1
name: inspected
files: [{host: ./notes.txt, guest: /workspace/notes.txt}]
tools: {read_file: {paths: ["/workspace/**"]}}
"""


def test_the_inspector_lists_and_calls_tools(
    tool: Callable[[str], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("ours\n")
    profile = tmp_path / "inspected.yaml"
    profile.write_text(_PROFILE)
    stockade = Path(sys.executable).with_name("stockade")

    def inspect(*options: str) -> dict[str, Any]:
        served = [str(stockade), "mcp", "--profile", str(profile)]
        done = subprocess.run(
            [*tool("mcp-inspector"), "--cli", *served, *options],
            env={**os.environ, "MCP_STORAGE_DIR": str(tmp_path / "inspector")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    (listed,) = inspect("--method", "tools/list")["tools"]
    assert listed["name"] == "read_file"
    call = ("--method", "tools/call", "--tool-name", "read_file", "--tool-arg")
    read = inspect(*call, "path=notes.txt")
    assert "ours" in read["content"][0]["text"]
    denied = inspect(*call, "path=/etc/shadow")
    assert denied["isError"]
    assert "/workspace/**" in denied["content"][0]["text"]
