"""Secrets in files that nobody else may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stockade.egress.credentials.file import read_file
from stockade.model.errors import CredentialError

_TEXT = "correct-horse-battery"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(_TEXT + "\n")
    path.chmod(0o600)
    return path


def test_a_line_is_read_without_its_end(kept: Path) -> None:
    assert read_file(str(kept)).reveal() == _TEXT
    kept.write_bytes(_TEXT.encode() + b"\r\n")
    assert read_file(str(kept)).reveal() == _TEXT


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_what_others_may_read_is_not_used(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    with pytest.raises(CredentialError, match=f"mode {mode:04o}") as refused:
        read_file(str(kept))
    assert refused.value.hint == f"Run: chmod 600 {kept}"


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, problem in (("pipe", "plain file"), (".", "directory|plain file"), ("no", "no such")):
        with pytest.raises(CredentialError, match=problem):
            read_file(str(tmp_path / path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_somebody_elses_file_is_not_used(kept: Path) -> None:
    os.chown(kept, 65_534, -1)
    if os.geteuid() == 0:
        with pytest.raises(CredentialError, match="somebody else"):
            read_file(str(kept))


@pytest.mark.parametrize("content", [b"x" * 100_000, b"correct\xffhorse", b"one\ntwo-lines", b""])
def test_what_is_no_secret_is_refused_unseen(kept: Path, content: bytes) -> None:
    kept.write_bytes(content)
    with pytest.raises(CredentialError) as refused:
        read_file(str(kept))
    assert "horse" not in str(refused.value)
