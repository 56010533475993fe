"""``file:PATH``: a secret in a file that nobody else may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stockade.egress.credentials.secret import MAX_LENGTH, Secret
from stockade.model.errors import CredentialError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_file(path: str) -> Secret:
    """Read the secret in ``path``; CredentialError as :func:`read_private` says."""
    return read_private(Path(path), origin=f"file:{path}", forbidden=_OTHERS)


def read_private(path: Path, *, origin: str, forbidden: int) -> Secret:
    """Read a file of one line, less the line's end.

    CredentialError, which names ``origin``, if the file cannot be read, is not a plain file,
    belongs to neither this user nor root, has a bit of ``forbidden`` in its mode, or does not hold
    a secret.
    """
    # One descriptor for the check and the reading, so that nothing can be swapped in between;
    # O_NONBLOCK because opening a pipe would wait for its writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            problem, hint = _unfit(status, path, forbidden)
            content = b"" if problem else file.read(4 * MAX_LENGTH + 3)  # UTF-8, and the line's end
    except OSError as error:
        raise CredentialError(
            f"the secret from {origin} cannot be read: {(error.strerror or 'error').lower()}",
            hint="Check that the file exists and that this user may read it.",
        ) from None
    if problem:
        raise CredentialError(f"the secret from {origin} is not used: {problem}", hint=hint)
    text = content.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", errors="replace")
    # What is not UTF-8 becomes what is not printable, and so is refused without being shown.
    return Secret(text.replace("\ufffd", "\0"), origin=origin)


def _unfit(status: os.stat_result, path: Path, forbidden: int) -> tuple[str, str]:
    if not stat.S_ISREG(status.st_mode):
        return "it is not a plain file", "Name the file that holds the secret."
    if status.st_uid not in (os.geteuid(), 0):
        return "its file belongs to somebody else", "Make a copy that belongs to this user."
    if status.st_mode & forbidden:
        return (
            f"its file may be read by others (mode {stat.S_IMODE(status.st_mode):04o})",
            f"Run: chmod 600 {path}",
        )
    return "", ""
