from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest

from stockade.cli import mcp
from stockade.model.errors import UsageError


def test_a_profile_is_needed(read: Callable[..., Namespace]) -> None:
    with pytest.raises(UsageError, match="no profile given"):
        mcp.run(read(mcp))


def test_how_to_serve_is_taken(read: Callable[..., Namespace]) -> None:
    taken = read(mcp, "-p", "f.yaml", "--http", "127.0.0.1:0", "--audit-only")
    assert (taken.profile, taken.http, taken.audit_only) == ("f.yaml", "127.0.0.1:0", True)
    assert read(mcp, "-p", "f.yaml").http is None
