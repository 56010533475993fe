"""A session's machine at one moment: all that is needed to go on from there, in memory or on disk.

It rests on the template that the machine was copied from: of RAM it holds only what differs. On
disk it is a folder of ``state``, ``pages``, the disks of granted files, and ``checkpoint.json``
with checksums; it appears whole, by a rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from stockade.model.errors import StockadeError
from stockade.model.profile import Profile
from stockade.sandbox.backends.base import Disk
from stockade.sandbox.calls import printable
from stockade.sandbox.grants import GrantDisk
from stockade.sandbox.ram import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stockade.sandbox.templates.store import Template

_FACTS, _STATE, _PAGES = "checkpoint.json", "state", "pages"
_CHUNK = 1 << 20


# What a document that anybody may have written to can bring about.
_DAMAGE = (
    OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError,
    ValidationError,
)  # fmt: skip


class _DamagedError(ValueError):
    """A file of a checkpoint is not what was saved."""


@dataclass(frozen=True)
class Origin:
    """Which machine it is of, what it ran under, and the template that it rests on."""

    machine: str
    profile: Profile
    template: str
    ram: str
    taken: float

    @classmethod
    def of(cls, machine: str, profile: Profile, template: Template) -> Self:
        """Note it down; ``taken`` is now, in seconds since the epoch."""
        return cls(machine, profile, template.key, template.facts.sums["ram"], time.time())


@dataclass(frozen=True)
class Checkpoint:
    """A moment to go back to, any number of times, until it is closed.

    ``state`` is of devices and processors (see ``snapshot``); the files that it has open are its
    own.
    """

    origin: Origin
    state: bytes
    pages: Pages
    grants: tuple[GrantDisk, ...]

    def close(self) -> None:
        """Give its files back; machines that went on from it are not concerned."""
        self.pages.close()
        for grant in self.grants:
            os.close(grant.disk.fd)

    def put_state(self, fd: int) -> None:
        """Write the state to a file in memory, whose place stays at the beginning."""
        os.pwrite(fd, self.state, 0)

    def save(self, folder: Path) -> None:
        """Write it to ``folder``, which must not be there yet; whole and durable, or not at all."""
        part = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            part.mkdir(mode=0o700, parents=True)
            sums = {_STATE: _write(part / _STATE, [self.state])}
            sums[_PAGES] = _write(part / _PAGES, _content(self.pages.fd))
            for grant in self.grants:
                name = grant.disk.serial
                sums[name] = _write(part / name, _content(grant.disk.fd))
            document = {
                "machine": self.origin.machine,
                "profile": self.origin.profile.model_dump(mode="json"),
                "template": self.origin.template,
                "ram": self.origin.ram,
                "taken": self.origin.taken,
                "runs": list(self.pages.runs),
                "grants": [grant.message for grant in self.grants],
                "sums": sums,
            }
            signed = {**document, "sum": _sum(document)}
            _write(part / _FACTS, [json.dumps(signed).encode()])
            part.rename(folder)
            _sync(folder.parent)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise StockadeError(
                f"cannot save a checkpoint in {folder}: {error.strerror}",
                hint="Make room, or set STOCKADE_STATE_DIR to a folder that can be written.",
            ) from None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open the one in ``folder``; raise ``StockadeError`` unless all is as it was saved."""
        opened: list[int] = []
        try:
            document = _read(folder / _FACTS)
            sums = document["sums"]

            def open_file(name: str) -> int:
                fd = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                opened.append(fd)
                if _checksum(_content(fd)) != sums[name]:
                    raise _DamagedError(f"{name} is not what was saved")
                return fd

            state = b"".join(_content(open_file(_STATE)))
            pages = Pages(array("Q", document["runs"]), open_file(_PAGES))
            if len(pages.runs) % 2 or pages.size != os.fstat(pages.fd).st_size:
                raise _DamagedError("its pages are not complete")
            grants = tuple(
                GrantDisk(Disk(message["disk"], open_file(message["disk"])), message)
                for message in document["grants"]
            )
            origin = Origin(
                machine=document["machine"],
                profile=Profile.model_validate(document["profile"]),
                template=document["template"],
                ram=document["ram"],
                taken=float(document["taken"]),
            )
        except _DAMAGE as error:
            _close(opened)
            if not (folder / _FACTS).exists():
                raise StockadeError(
                    f"there is no checkpoint in {folder}", hint="See stockade checkpoint list."
                ) from None
            raise StockadeError(
                f"the checkpoint in {folder} is damaged: {printable(error, 200)}",
                hint="Remove it.",
            ) from None
        os.close(opened[0])  # the state, which is in memory now
        return cls(origin, state, pages, grants)


def describe(folder: Path) -> dict[str, Any] | None:
    """What is written down about the checkpoint in ``folder``; None if that cannot be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        document = json.loads((folder / _FACTS).read_bytes())
        if isinstance(document, dict):
            return document
    return None


def _read(path: Path) -> dict[str, Any]:
    """Return what is written down, if nothing of it has changed since."""
    document: dict[str, Any] = json.loads(path.read_bytes())
    if document.pop("sum") != _sum(document):
        raise _DamagedError(f"{path.name} is not what was saved")
    return document


def _sum(document: dict[str, Any]) -> str:
    """The checksum of what a document says, however it is laid out."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _content(fd: int) -> Iterator[bytes]:
    place = 0
    while chunk := os.pread(fd, _CHUNK, place):
        place += len(chunk)
        yield chunk


def _write(path: Path, chunks: Sequence[bytes] | Iterator[bytes]) -> str:
    """Write a new file durably and return its checksum."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        path.chmod(0o600)
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _checksum(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)
