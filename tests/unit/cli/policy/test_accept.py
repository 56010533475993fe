from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli.policy import accept
from stockade.model.errors import UsageError


def test_the_profile_is_needed_and_one_server_may_be_named(read: Callable[..., Namespace]) -> None:
    taken = read(accept, "-p", "f.yaml", "notes", "--yes")
    assert (taken.profile, taken.server, taken.yes) == ("f.yaml", "notes", True)
    assert read(accept, "--profile", "f.yaml").server is None
    with pytest.raises(UsageError, match="--profile"):
        read(accept)


def test_it_goes_through_the_servers_of_the_profile(
    read: Callable[..., Namespace], tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\n")
    with pytest.raises(UsageError, match="has no MCP servers"):
        accept.run(read(accept, "-p", str(path)))
