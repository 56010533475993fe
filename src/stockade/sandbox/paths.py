"""Where Stockade keeps things on the host: one function per kind, each following the XDG rules.

A cache may be deleted at any time, state may not, and the runtime directory holds only what
belongs to processes that live now.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stockade.model.errors import StockadeError


def cache_dir() -> Path:
    """Things that can be built again: images, the machine's kernel, templates."""
    if chosen := os.environ.get("STOCKADE_CACHE_DIR"):
        return Path(chosen).absolute()
    return _xdg("XDG_CACHE_HOME", ".cache") / "stockade"


def state_dir() -> Path:
    """Things that must outlive a run and cannot be built again: journals, approvals, keys."""
    if chosen := os.environ.get("STOCKADE_STATE_DIR"):
        return Path(chosen).absolute()
    return _xdg("XDG_STATE_HOME", ".local/state") / "stockade"


def runtime_dir() -> Path:
    """Sockets and records of running machines; created here, private to this user.

    Without a login session there is no ``$XDG_RUNTIME_DIR``; then root uses ``/run`` and anyone
    else a name in ``/tmp`` that others could have taken first, so it is checked before use.
    """
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session and Path(session).is_absolute():
        return _private(Path(session) / "stockade")
    if os.geteuid() == 0:
        return _private(Path("/run/stockade"))
    return _private(Path(f"/tmp/stockade-{os.geteuid()}"))  # noqa: S108 - owner and mode are checked


def _xdg(variable: str, default: str) -> Path:
    # The XDG specification says that a relative value is to be ignored.
    value = os.environ.get(variable, "")
    return Path(value) if Path(value).is_absolute() else _home() / default


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise StockadeError(
            "no home directory is known for this user",
            hint="Set STOCKADE_CACHE_DIR and STOCKADE_STATE_DIR, or HOME.",
        ) from error


def _private(path: Path) -> Path:
    """Make sure that ``path`` is a real directory of ours that nobody else can enter."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        # lstat: a symlink planted here must not be followed.
        found = path.lstat()
    except OSError as error:
        raise StockadeError(
            f"cannot create the runtime directory {path}: {error.strerror}",
            hint="Set XDG_RUNTIME_DIR to a directory that you own.",
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StockadeError(
            f"the runtime directory {path} belongs to somebody else",
            hint="Remove it, or set XDG_RUNTIME_DIR to a directory that you own.",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path
