"""The token of HTTP clients."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from stockade.model.errors import StockadeError, UsageError
from stockade.tools.mcp.token import VARIABLE, new_token, take_token


def test_the_users_own_is_taken_out_of_the_environment() -> None:
    environment = {VARIABLE: "x" * 32, "HOME": "/"}
    assert take_token(environment) == "x" * 32
    assert environment == {"HOME": "/"}
    assert take_token(environment) is None


@pytest.mark.parametrize("token", ["", "short", "x" * 600, "x" * 40 + "\n", "é" * 40, "x " * 20])
def test_what_is_no_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        take_token({VARIABLE: token})
    assert not token or token not in str(caught.value)


def test_a_new_one_is_private_fresh_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "tokens" / "one"
    with new_token(path) as token:
        assert path.read_text() == token + "\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with new_token(tmp_path / "other") as other:
            assert other != token
        assert len(token) >= 43  # 256 bits
    assert not path.exists()


def test_no_file_that_is_there_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StockadeError, match="cannot write"), new_token(tmp_path / "link"):
        pass
    assert not (tmp_path / "elsewhere").exists()
