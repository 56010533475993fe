"""The secrets of one session, read where its profile says and kept for a short time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from stockade.egress.credentials.environment import read_environment
from stockade.egress.credentials.file import read_file
from stockade.egress.credentials.systemd import read_systemd
from stockade.egress.credentials.vault import read_vault
from stockade.model.errors import CredentialError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stockade.egress.credentials.secret import Secret
    from stockade.model.credentials import Credential

REFRESH = 300.0
"""Seconds for which a secret is used before it is read again."""

_READERS = {"env": read_environment, "file": read_file, "systemd": read_systemd}


async def read(source: str) -> Secret:
    """Read the secret that ``source`` names; CredentialError if it cannot be had."""
    kind, _, place = source.partition(":")
    if kind == "vault":
        return await read_vault(place)
    reader = _READERS.get(kind)
    if reader is None:
        raise CredentialError(
            "a credential is kept in a kind of place that is not known",
            hint="Write 'from' as env:NAME, file:PATH, systemd:NAME or vault:MOUNT/PATH#FIELD.",
        )
    return await anyio.to_thread.run_sync(reader, place)


class Keyring:
    """The secrets of one session, by the names of their credentials.

    A secret that can no longer be read is no longer used: what was revoked in its store ends
    after at most ``refresh`` seconds.
    """

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        *,
        refresh: float = REFRESH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = dict(credentials)
        self._refresh = refresh
        self._clock = clock
        self._held: dict[str, tuple[float, Secret]] = {}
        self._locks = {name: anyio.Lock() for name in self._credentials}

    async def check(self) -> None:
        """Read every secret, so that a session fails at its start and not in its middle."""
        for name in self._credentials:
            await self.get(name)

    async def of(self, name: str) -> tuple[Credential, Secret]:
        """A credential with its secret; CredentialError as for ``get``."""
        secret = await self.get(name)
        return self._credentials[name], secret

    async def get(self, name: str) -> Secret:
        """The secret of credential ``name``; CredentialError if it cannot be had."""
        credential = self._credentials.get(name)
        if credential is None:
            raise CredentialError(
                f"there is no credential {name}", hint="Name one under 'credentials'."
            )
        async with self._locks[name]:  # one reader at a time; the others take what it found
            held = self._held.get(name)
            if held and self._clock() < held[0] + self._refresh:
                return held[1]
            self._held.pop(name, None)
            secret = await read(credential.source)
            self._held[name] = (self._clock(), secret)
            return secret
