"""The checkpoints that outlive their session: named folders in the state directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.model.errors import StockadeError, UsageError
from stockade.model.wording import quote
from stockade.sandbox.checkpoint import describe
from stockade.sandbox.paths import state_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PAUSED = "paused-"


@dataclass(frozen=True)
class Saved:
    """One of them. ``taken`` is in seconds since the epoch, ``size`` in bytes on the disk."""

    name: str
    machine: str
    profile: str
    image: str
    template: str
    taken: float
    size: int


def folder_of(name: str) -> Path:
    """Where the checkpoint ``name`` is kept, or would be."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{quote(name)} is not the name of a checkpoint",
            hint="Use small letters, digits and hyphens, at most 63.",
        )
    return state_dir() / "checkpoints" / name


def paused(machine: str) -> str:
    """The name under which a paused machine is kept."""
    return f"{_PAUSED}{machine}"


def forget_paused(machine: str) -> None:
    """Remove what is kept of a machine that was paused; fine when nothing is."""
    with contextlib.suppress(StockadeError):
        remove(paused(machine))


def paused_machines() -> set[str]:
    """The ids of all machines that were paused and not resumed, whether they live or not."""
    home = state_dir() / "checkpoints"
    names = {path.name for path in home.iterdir()} if home.is_dir() else set[str]()
    return {name.removeprefix(_PAUSED) for name in names if name.startswith(_PAUSED)}


def new_folder(name: str) -> Path:
    """Where a checkpoint that a person asks for is to be kept; raise if the name is in use."""
    folder = folder_of(name)
    if name.startswith(_PAUSED):
        raise UsageError(
            f"{quote(name)} is a name that stockade pause gives", hint="Choose another name."
        )
    if folder.exists():
        raise StockadeError(
            f"there is a checkpoint {quote(name)} already",
            hint="Choose another name, or remove it.",
        )
    return folder


def existing_folder(name: str) -> Path:
    """Where the checkpoint ``name`` is kept; raise if there is none."""
    folder = folder_of(name)
    if not folder.is_dir():
        raise StockadeError(
            f"there is no checkpoint {quote(name)}", hint="See stockade checkpoint list."
        )
    return folder


@contextmanager
def held(name: str) -> Iterator[Path]:
    """Keep a checkpoint, which is to be gone on from once, from others; raise if one has it."""
    fd = os.open(existing_folder(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StockadeError(f"another process goes on from {quote(name)} already") from None
        yield existing_folder(name)  # which whoever held it before may have removed
    finally:
        os.close(fd)


def saved() -> list[Saved]:
    """All that can be read, the oldest first."""
    found = []
    home = state_dir() / "checkpoints"
    for folder in home.iterdir() if home.is_dir() else ():
        document = describe(folder)
        if document is None or folder.name.startswith("."):
            continue
        with contextlib.suppress(KeyError, TypeError, ValueError, OSError):
            found.append(
                Saved(
                    name=folder.name,
                    machine=str(document["machine"]),
                    profile=str(document["profile"]["name"]),
                    image=str(document["profile"]["image"]),
                    template=str(document["template"]),
                    taken=float(document["taken"]),
                    size=sum(path.stat().st_blocks * 512 for path in folder.iterdir()),
                )
            )
    return sorted(found, key=lambda one: one.taken)


def remove(name: str) -> None:
    """Delete a checkpoint; machines that went on from it are not concerned."""
    folder = existing_folder(name)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StockadeError(f"cannot remove {error.filename or folder}: {error.strerror}") from None


def free_name(machine: str) -> str:
    """A name that is not taken: the machine's and a number."""
    number = 1
    while folder_of(f"{machine}-{number}").exists():
        number += 1
    return f"{machine}-{number}"
