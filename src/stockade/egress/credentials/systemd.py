"""``systemd:NAME``: a secret that systemd passed to this service (systemd.exec(5), CREDENTIALS)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.egress.credentials.file import read_private
from stockade.model.errors import CredentialError

if TYPE_CHECKING:
    from stockade.egress.credentials.secret import Secret


def read_systemd(name: str) -> Secret:
    """Read credential ``name`` of this service; CredentialError if it has none of that name."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise CredentialError(
            f"systemd passed no credentials, so systemd:{name} cannot be read",
            hint=f"Add LoadCredential={name}:PATH to the service, and start Stockade as that.",
        )
    # systemd lets the service's user in by an access list, which shows as the group's bits.
    return read_private(Path(folder, name), origin=f"systemd:{name}", forbidden=stat.S_IRWXO)
