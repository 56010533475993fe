"""The token that a client over HTTP must know."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stockade.model.errors import StockadeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from pathlib import Path

VARIABLE: Final = "STOCKADE_MCP_TOKEN"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{32,512}")  # RFC 6750, section 2.1: b64token


def take_token(environment: MutableMapping[str, str]) -> str | None:
    """The user's own token, if there is one; taken out, so that no program started has it."""
    token = environment.pop(VARIABLE, None)
    if token is not None and not _TOKEN.fullmatch(token):
        raise UsageError(
            f"{VARIABLE} is no token",
            hint="Use 32 or more letters, digits, - or _, such as from: openssl rand -hex 32.",
        )
    return token


@contextmanager
def new_token(path: Path) -> Iterator[str]:
    """A fresh token, in a file that only this user can read and that is gone afterwards."""
    token = secrets.token_urlsafe(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(token + "\n")
    except OSError as error:
        raise StockadeError(f"cannot write the token to {path}: {error.strerror}") from None
    try:
        yield token
    finally:
        path.unlink(missing_ok=True)
