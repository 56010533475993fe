"""The tools of others that the tests here run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.contract.mcp.install import folder, node


@pytest.fixture
def tool() -> Callable[[str], list[str]]:
    """The command that starts a tool of Node's."""
    if not folder().is_dir():
        pytest.skip("`make contract` could not fetch Node 22 and MCP's own suites by npm")
    return node
