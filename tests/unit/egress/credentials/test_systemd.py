"""Credentials of a service, laid out as systemd lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from stockade.egress.credentials.systemd import read_systemd
from stockade.model.errors import CredentialError


def test_a_credential_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    path = tmp_path / "github"
    path.write_text("correct-horse")
    path.chmod(0o440)  # as it shows with an access list
    assert read_systemd("github").reveal() == "correct-horse"
    path.chmod(0o444)
    with pytest.raises(CredentialError, match="read by others"):
        read_systemd("github")
    with pytest.raises(CredentialError, match="no such file"):
        read_systemd("gitlab")


def test_without_systemd_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(CredentialError, match="systemd passed no credentials") as refused:
        read_systemd("github")
    assert "LoadCredential=github:PATH" in refused.value.hint
