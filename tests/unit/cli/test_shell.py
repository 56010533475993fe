from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest

from stockade.cli import shell
from stockade.model.errors import UsageError


def test_a_terminal_is_needed(read: Callable[..., Namespace]) -> None:
    # Under pytest, standard input is never a terminal.
    with pytest.raises(UsageError, match="needs a terminal"):
        shell.run(read(shell))


def test_it_takes_what_a_machine_is_like_and_nothing_else(read: Callable[..., Namespace]) -> None:
    taken = vars(read(shell, "-e", "A=1", "--env=B=2", "--image", "dir:/x", "-l", "cpus=2"))
    assert taken == {
        "profile": None, "image": "dir:/x", "file": None, "env": ["A=1", "B=2"],
        "limit": ["cpus=2"], "timeout": None, "audit_only": False,
    }  # fmt: skip
    with pytest.raises(UsageError, match="unexpected 'true'"):
        read(shell, "--", "true")
