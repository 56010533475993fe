"""Templates on disk: found, checked, listed and removed.

A template is a folder: ``ram``, a sparse file of the machine's size; ``state``, what its devices
and processors were like; ``template.json``, what it is and its checksums. RAM is too large to be
read at each use, so once it was read through, ``verified.json`` notes what would change if anybody
wrote to it (stat(2)) and the host's boot; any difference, and it is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache, remove_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import ExitStack

RAM, STATE = "ram", "state"
_FACTS, _VERIFIED = "template.json", "verified.json"
_CHUNK = 1 << 20
_KEPT = 8  # templates, the latest used ones


@dataclass(frozen=True)
class Facts:
    """What a template is of. ``created`` is in seconds since the epoch, ``memory`` in bytes."""

    image: str
    digest: str
    cpus: int
    memory: int
    slots: int
    created: float
    sums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """A saved machine in its folder; the very files that were opened, once it is ``held``."""

    folder: Path
    facts: Facts
    held: tuple[int, int] | None = field(default=None, compare=False)

    def hold(self, owned: ExitStack) -> Self:
        """The same with its files open, so that no others can take their place; see ``proc(5)``.

        ``owned`` closes them.
        """
        ram, state = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (self.ram, self.state))
        owned.callback(os.close, ram)
        owned.callback(os.close, state)
        return replace(self, held=(ram, state))

    @property
    def key(self) -> str:
        """The fingerprint that it was made for."""
        return self.folder.name

    @property
    def ram(self) -> Path:
        """The file of its RAM."""
        return Path(f"/proc/self/fd/{self.held[0]}") if self.held else self.folder / RAM

    @property
    def state(self) -> Path:
        """The file of its devices' and processors' state."""
        return Path(f"/proc/self/fd/{self.held[1]}") if self.held else self.folder / STATE


@dataclass(frozen=True)
class Entry:
    """One of a list: ``facts`` as far as they can be read, and ``damage`` in one line, or "".

    ``size`` is in bytes on the disk.
    """

    key: str
    facts: Facts | None
    damage: str
    size: int


class DamagedError(Exception):
    """A template is not what was saved; the message says what about it is wrong."""


class TemplateStore:
    """The templates in the cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.root = cache.root / "templates"

    def find(self, key: str, owned: ExitStack | None = None) -> Template | None:
        """Return the template for ``key``, or None; raise ``DamagedError`` if it is not sound.

        With ``owned``, which closes them then, its files are held from before they are checked.
        """
        try:
            template = self._read(self.root / key)
            if template is None:
                return None
            template = template.hold(owned) if owned else template
            check(template)
            os.utime(template.folder / _FACTS)
        except OSError as error:
            raise DamagedError(f"{error.filename}: {error.strerror}") from None
        return template

    def all(self) -> list[Entry]:
        """All templates, oldest first; those whose facts cannot be read come before."""
        folders = list(self.root.iterdir()) if self.root.is_dir() else []
        found = [entry for folder in folders if (entry := self._describe(folder))]
        return sorted(found, key=lambda entry: entry.facts.created if entry.facts else 0.0)

    def publish(self, made: Path, key: str, spare: Collection[str] = ()) -> Template:
        """Put a finished template in its place, and drop those that were used longest ago.

        Those whose keys are in ``spare`` stay however long ago that was.
        """
        final = self.root / key
        self.cache.publish(made, final)
        self.root.chmod(0o700)
        template = self._read(final)
        if template is None:
            raise ImageError(f"the template {key[:12]} has vanished")
        _note(template)
        self._prune({key, *spare})
        return template

    def remove(self, key: str) -> list[Entry]:
        """Remove the templates whose keys begin with ``key``; machines copied from them go on."""
        found = [entry for entry in self.all() if entry.key.startswith(key)]
        if not found or not key:
            raise ImageError(f"no template {key!r}", hint="See stockade template list.")
        for entry in found:
            remove_tree(self.root / entry.key)
        return found

    def discard(self, key: str) -> None:
        """Remove what is damaged."""
        remove_tree(self.root / key)

    def _read(self, folder: Path) -> Template | None:
        try:
            facts = _parse(json.loads((folder / _FACTS).read_bytes()))
        except FileNotFoundError:
            if folder.exists():
                raise DamagedError(f"{folder.name[:12]} has no {_FACTS}") from None
            return None
        except (ValueError, TypeError, NotADirectoryError, RecursionError) as error:
            raise DamagedError(f"{folder.name[:12]}: {_FACTS}: {error}") from None
        return Template(folder, facts)

    def _describe(self, folder: Path) -> Entry | None:
        facts, damage = None, ""
        try:
            if template := self._read(folder):
                facts = template.facts
                check(template)
        except DamagedError as error:
            damage = str(error)
        except OSError as error:
            damage = f"{error.filename}: {error.strerror}"
        try:
            size = sum(path.lstat().st_blocks * 512 for path in folder.iterdir())
        except OSError:  # no folder, or removed in this very moment
            return None
        return Entry(folder.name, facts, damage, size)

    def _prune(self, kept: set[str]) -> None:
        others = [path for path in self.root.iterdir() if path.name not in kept]

        def used(path: Path) -> float:
            try:
                return (path / _FACTS).stat().st_mtime
            except OSError:
                return 0.0

        for path in sorted(others, key=used)[: -(_KEPT - 1)]:
            with contextlib.suppress(OSError):
                remove_tree(path)


def _parse(document: object) -> Facts:
    if not isinstance(document, dict):
        raise TypeError("it is no description")
    facts = Facts(**document)
    if not isinstance(facts.sums, dict):
        raise TypeError("its checksums are none")
    texts = (facts.image, facts.digest, *facts.sums, *facts.sums.values())
    numbers = (facts.cpus, facts.memory, facts.slots)
    created = isinstance(facts.created, int | float)
    if not created or any(type(number) is not int for number in numbers):
        raise TypeError("its numbers are none")
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("its names are none")
    return facts


def write_facts(folder: Path, facts: Facts) -> None:
    """Write down what ``folder`` holds, with the checksums of its files."""
    sums = {name: checksum(folder / name) for name in (RAM, STATE)}
    document = {**asdict(facts), "sums": sums}
    (folder / _FACTS).write_text(json.dumps(document, indent=2), encoding="utf-8")


def check(template: Template) -> None:
    """Raise ``DamagedError`` unless the files are those that were saved."""
    for name, path in ((RAM, template.ram), (STATE, template.state)):
        shown = template.folder / name
        if name == RAM and path.stat().st_size != template.facts.memory:
            raise DamagedError(f"{shown} is of another size than the machine's memory")
        if name == RAM and _noted(template):
            continue
        if checksum(path) != template.facts.sums.get(name):
            raise DamagedError(f"{shown} is not what was saved")
        if name == RAM:
            _note(template)


def checksum(path: Path) -> str:
    """SHA-256 over what a file holds and where; holes are passed over."""
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        digest.update(b"%d" % os.fstat(file.fileno()).st_size)
        for start, end in _extents(file.fileno()):
            digest.update(b" %d %d " % (start, end))
            file.seek(start)
            left = end - start
            while left:
                count = file.readinto(view[: min(left, _CHUNK)])
                if not count:
                    break
                digest.update(view[:count])
                left -= count
    return digest.hexdigest()


def _extents(fd: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are not holes (lseek(2))."""
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # ENXIO: only holes follow
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def _mark(template: Template) -> dict[str, Any]:
    found = template.ram.stat()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    sums = template.facts.sums.get(RAM)
    times = [found.st_mtime_ns, found.st_ctime_ns]
    return {"boot": boot, "sum": sums, "file": [found.st_dev, found.st_ino], "times": times}


def _noted(template: Template) -> bool:
    try:
        noted = json.loads((template.folder / _VERIFIED).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return bool(noted == _mark(template))


def _note(template: Template) -> None:
    part = template.folder / f"{_VERIFIED}.{os.getpid()}"
    # What cannot be noted is only read again.
    with contextlib.suppress(OSError):
        part.write_text(json.dumps(_mark(template)), encoding="ascii")
        part.replace(template.folder / _VERIFIED)
