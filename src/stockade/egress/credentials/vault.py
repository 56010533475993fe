"""``vault:MOUNT/PATH#FIELD``: a secret in HashiCorp Vault or OpenBao, engine KV version 2.

Address and token are found as the programs ``bao`` and ``vault`` find them: ``BAO_ADDR``,
``BAO_TOKEN``, ``BAO_CACERT`` and ``BAO_NAMESPACE``, or the same with ``VAULT_``, or else the token
in ``~/.vault-token``. API: https://openbao.org/api-docs/secret/kv/kv-v2/#read-secret-version
"""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

import anyio
import httpx2

from stockade.egress.credentials.file import read_file
from stockade.egress.credentials.secret import Secret
from stockade.model.errors import CredentialError

_MOST = 1024 * 1024
_PATIENCE = 10.0


def _setting(name: str) -> str | None:
    return os.environ.get(f"BAO_{name}") or os.environ.get(f"VAULT_{name}")


async def read_vault(place: str) -> Secret:
    """Read ``MOUNT/PATH#FIELD``; CredentialError if it cannot be had, for whatever reason."""
    origin = f"vault:{place}"
    path, _, field = place.rpartition("#")
    mount, _, path = path.partition("/")
    url = f"{_address()}/v1/{quote(mount)}/data/{quote(path)}"
    headers = {"X-Vault-Token": _token().reveal(), "X-Vault-Request": "true"}
    if namespace := _setting("NAMESPACE"):
        headers["X-Vault-Namespace"] = namespace
    trust = _trust()
    status, content, problem = 0, b"", ""
    try:
        with anyio.fail_after(_PATIENCE):
            status, content = await _get(url, headers, trust)
    except TimeoutError:
        problem = "it took too long to answer"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        # The kind alone: the text of such an error may hold what was sent.
        problem = f"it cannot be reached ({type(error).__name__})"
    if problem or status != httpx2.codes.OK:
        raise CredentialError(
            f"the vault does not give {origin}: {problem or f'it answered {status}'}",
            hint=_HINTS.get(status, "Check BAO_ADDR and BAO_CACERT, and that the vault is open."),
        )
    return Secret(_field(content, field, origin), origin=origin)


_HINTS = {
    403: "Check the token and the policy that it has in the vault.",
    404: "Check mount and path; the engine must be KV version 2.",
}


async def _get(url: str, headers: dict[str, str], trust: ssl.SSLContext) -> tuple[int, bytes]:
    async with (
        httpx2.AsyncClient(verify=trust, trust_env=False, follow_redirects=False) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        content = bytearray()
        async for chunk in response.aiter_bytes(65_536):
            content += chunk
            if len(content) > _MOST:
                raise ValueError("too long")
        return response.status_code, bytes(content)


def _field(content: bytes, field: str, origin: str) -> str:
    try:
        value = json.loads(content)["data"]["data"][field]
    except (ValueError, KeyError, TypeError, RecursionError):
        value = None
    if not isinstance(value, str):
        raise CredentialError(
            f"the vault has no text in the field that {origin} names",
            hint="Check the name after '#'.",
        )
    return value


def _address() -> str:
    address = _setting("ADDR")
    if not address:
        raise CredentialError(
            "no vault is configured", hint="Set BAO_ADDR or VAULT_ADDR to its https:// address."
        )
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise CredentialError(
            "the vault's address does not begin with https:// and a host",
            hint="Set BAO_ADDR to an https:// address; BAO_CACERT names a CA of your own.",
        )
    return address.rstrip("/")


def _token() -> Secret:
    if token := _setting("TOKEN"):
        return Secret(token, origin="the variable of the vault's token")
    return read_file(str(Path.home() / ".vault-token"))


def _trust() -> ssl.SSLContext:
    authority = _setting("CACERT")
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError):
        raise CredentialError(
            f"the vault's CA certificate {authority} cannot be read",
            hint="Set BAO_CACERT to a file of PEM certificates.",
        ) from None
