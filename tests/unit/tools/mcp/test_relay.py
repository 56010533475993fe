"""How a server that is reached by URL is spoken to."""

from __future__ import annotations

import ast

from stockade.tools.mcp.relay import relay_command


def test_the_relay_is_a_program_for_the_images_python_alone() -> None:
    python, unbuffered, option, program, url = relay_command("http://127.0.0.1:1/mcp")
    assert (python, unbuffered, option, url) == ("python3", "-u", "-c", "http://127.0.0.1:1/mcp")
    imported = {
        alias.name for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Import)
        for alias in node.names
    }  # fmt: skip
    assert imported == {"json", "sys", "threading", "urllib.error", "urllib.request"}
