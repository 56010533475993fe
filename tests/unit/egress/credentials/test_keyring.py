"""A session's secrets are kept for a time, and no longer than they can be read."""

from __future__ import annotations

import anyio
import pytest

from stockade.egress.credentials.keyring import Keyring, read
from stockade.model.credentials import Credential
from stockade.model.errors import CredentialError

pytestmark = pytest.mark.anyio


def _keyring(now: list[float]) -> Keyring:
    credential = Credential.model_validate({"from": "env:A_TOKEN"})
    return Keyring({"key": credential}, refresh=10, clock=lambda: now[0])


async def test_a_secret_is_read_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    keyring = _keyring(now)
    monkeypatch.setenv("A_TOKEN", "first-secret")
    await keyring.check()
    monkeypatch.setenv("A_TOKEN", "second-secret")
    assert (await keyring.get("key")).reveal() == "first-secret"
    now[0] = 10.0
    assert (await keyring.get("key")).reveal() == "second-secret"


async def test_what_cannot_be_read_any_more_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    keyring = _keyring(now)
    monkeypatch.setenv("A_TOKEN", "first-secret")
    await keyring.get("key")
    monkeypatch.delenv("A_TOKEN")
    now[0] = 11.0
    with pytest.raises(CredentialError, match="A_TOKEN is not set"):
        await keyring.get("key")


async def test_many_that_ask_at_once_get_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "first-secret")
    keyring, got = _keyring([0.0]), []

    async def ask() -> None:
        got.append(await keyring.get("key"))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    assert len({id(secret) for secret in got}) == 1


async def test_unknown_names_and_places_are_refused() -> None:
    with pytest.raises(CredentialError, match="no credential other"):
        await _keyring([0.0]).get("other")
    with pytest.raises(CredentialError, match="not known"):
        await read("ssh-agent:key")
