"""``env:NAME``: a secret in a variable of the environment that Stockade was started with."""

from __future__ import annotations

import os

from stockade.egress.credentials.secret import Secret
from stockade.model.errors import CredentialError


def read_environment(name: str) -> Secret:
    """Read variable ``name``; CredentialError if it is not set or holds no secret."""
    value = os.environ.get(name)
    if value is None:
        raise CredentialError(
            f"the variable {name} is not set", hint=f"Set {name} before Stockade is started."
        )
    return Secret(value, origin=f"env:{name}")
