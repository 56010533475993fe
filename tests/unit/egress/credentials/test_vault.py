"""Secrets in a real OpenBao."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.egress.credentials.conftest import TOKEN
from tests.unit.egress.rig import scripted

from stockade.egress.credentials.vault import read_vault
from stockade.model.errors import CredentialError

if TYPE_CHECKING:
    from anyio.abc import SocketStream
    from tests.unit.egress.credentials.conftest import Vault

pytestmark = pytest.mark.anyio

_SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _stored(vault: Vault) -> None:
    data = {"token": _SECRET, "number": 7}
    answer = vault.client.post("/v1/secret/data/ci/git hub", json={"data": data})
    assert answer.status_code == 200


async def test_a_field_is_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = await read_vault("secret/ci/git hub#token")
    assert secret.reveal() == _SECRET
    assert _SECRET not in caplog.text
    assert TOKEN not in caplog.text


async def test_the_newest_version_counts(vault: Vault) -> None:
    vault.client.post("/v1/secret/data/ci/git hub", json={"data": {"token": "another-horse"}})
    assert (await read_vault("secret/ci/git hub#token")).reveal() == "another-horse"


async def test_a_token_of_little_power_is_enough_and_may_be_in_a_file(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = 'path "secret/data/ci/*" { capabilities = ["read"] }'
    vault.client.put("/v1/sys/policies/acl/ci", json={"policy": policy}).raise_for_status()
    made = vault.client.post("/v1/auth/token/create", json={"policies": ["ci"]}).json()
    monkeypatch.delenv("BAO_TOKEN")
    file = tmp_path / ".vault-token"
    file.write_text(made["auth"]["client_token"])
    file.chmod(0o600)
    assert (await read_vault("secret/ci/git hub#token")).reveal() == _SECRET
    vault.client.post("/v1/secret/data/other", json={"data": {"token": _SECRET}})
    with pytest.raises(CredentialError, match="it answered 403"):
        await read_vault("secret/other#token")


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("secret/ci/none#token", "it answered 404"),
        ("nowhere/ci#token", "it answered 40"),
        ("secret/ci/git hub#password", "no text in the field"),
        ("secret/ci/git hub#number", "no text in the field"),
    ],
)
async def test_what_is_not_there_is_named(place: str, problem: str) -> None:
    with pytest.raises(CredentialError, match=problem) as refused:
        await read_vault(place)
    assert place in str(refused.value)
    assert _SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("BAO_ADDR", "", "no vault is configured"),
        ("BAO_ADDR", "http://127.0.0.1:1", "does not begin with https://"),
        ("BAO_ADDR", "https://u:p@127.0.0.1", "does not begin with https://"),
        ("BAO_ADDR", "https://127.0.0.1:1", "cannot be reached"),
        ("BAO_CACERT", "/nonexistent", "CA certificate /nonexistent cannot be read"),
        ("BAO_CACERT", "", "cannot be reached"),
        ("BAO_TOKEN", "wrong-token-wrong", "it answered 403"),
        ("BAO_TOKEN", "", "file:.*vault-token cannot be read"),
    ],
)
async def test_what_is_not_set_right_is_said(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CredentialError, match=problem) as refused:
        await read_vault("secret/ci/git hub#token")
    assert TOKEN not in str(refused.value)
    assert "wrong-token" not in str(refused.value)


async def test_a_server_without_tls_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(stream: SocketStream) -> None:
        assert TOKEN.encode() not in await stream.receive()
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")

    async with scripted(handler) as port:
        monkeypatch.setenv("BAO_ADDR", f"https://127.0.0.1:{port}")
        with pytest.raises(CredentialError, match="cannot be reached"):
            await read_vault("secret/ci/git hub#token")
