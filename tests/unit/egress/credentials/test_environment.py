"""Secrets in variables."""

from __future__ import annotations

import pytest

from stockade.egress.credentials.environment import read_environment
from stockade.model.errors import CredentialError


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "correct-horse")
    assert read_environment("A_TOKEN").reveal() == "correct-horse"


def test_one_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_TOKEN", raising=False)
    with pytest.raises(CredentialError, match="variable A_TOKEN is not set"):
        read_environment("A_TOKEN")
