from __future__ import annotations

import pytest

from stockade.cli.shell import shell
from stockade.model.errors import UsageError


def test_a_terminal_is_needed() -> None:
    # Under pytest, standard input is never a terminal.
    with pytest.raises(UsageError, match="needs a terminal"):
        shell()
