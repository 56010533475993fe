"""The machines that live on this host for this user: what ``stockade ps`` and ``kill`` go by.

One folder per machine in the runtime directory, holding a record. A record counts only while the
process it names lives: process id and start time together, so a reused id is not taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import StockadeError
from stockade.model.wording import quote
from stockade.sandbox.paths import runtime_dir

if TYPE_CHECKING:
    from collections.abc import Iterable

_RECORD, _KILLED, _PAUSED = "record.json", "killed", "paused"


@dataclass(frozen=True)
class Record:
    """One machine. ``pid`` and ``ticks`` are of its hypervisor, ``owner`` is Stockade's own.

    ``started`` is in seconds since the epoch; ``ticks`` is field 22 of ``/proc/PID/stat``.
    """

    id: str
    pid: int
    ticks: int
    owner: int
    backend: str
    image: str
    profile: str
    command: list[str]
    started: float

    @property
    def alive(self) -> bool:
        """Tell whether the machine's process still runs."""
        return 0 < self.ticks == start_ticks(self.pid)

    @property
    def age(self) -> float:
        """Seconds since the machine was started."""
        return max(0.0, time.time() - self.started)


def new_id() -> str:
    """A name for a machine, short enough to type."""
    return secrets.token_hex(4)


def folder_of(machine: str) -> Path:
    """Where the record of ``machine`` lies; made when it is written."""
    return runtime_dir() / "machines" / machine


def write(record: Record) -> None:
    """Make the machine known."""
    folder = folder_of(record.id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f"{_RECORD}.part"
    part.write_text(json.dumps(asdict(record)), encoding="utf-8")
    part.replace(folder / _RECORD)


def forget(machine: str) -> None:
    """Remove the machine's folder; fine when it is gone."""
    shutil.rmtree(folder_of(machine), ignore_errors=True)


def was_killed(machine: str) -> bool:
    """Tell whether ``kill`` ended the machine."""
    return (folder_of(machine) / _KILLED).exists()


def mark_paused(machine: str, *, paused: bool) -> None:
    """Note whether the machine stands still, for others to see; fine when it is gone."""
    with contextlib.suppress(FileNotFoundError):
        if paused:
            (folder_of(machine) / _PAUSED).touch()
        else:
            (folder_of(machine) / _PAUSED).unlink()


def is_paused(machine: str) -> bool:
    """Tell whether the machine stands still."""
    return (folder_of(machine) / _PAUSED).exists()


def machines() -> list[Record]:
    """All machines that live now, oldest first."""
    found = []
    base = runtime_dir() / "machines"
    for folder in base.iterdir() if base.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            record = Record(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))
            if record.id == folder.name and _is_sound(record) and record.alive:
                found.append(record)
    return sorted(found, key=lambda record: record.started)


def find(machine: str) -> Record:
    """The machine named by a unique prefix of its id; raise if there is none."""
    living = {record.id: record for record in machines()}
    return living[pick(machine, living)]


def pick(machine: str, ids: Iterable[str], *, hint: str = "See stockade ps.") -> str:
    """The one of ``ids`` that begins with ``machine``; raise if there are more, or none."""
    matching = {found for found in ids if found.startswith(machine)}
    if len(matching) != 1 or not machine:
        problem = "more than one machine" if len(matching) > 1 else "no machine"
        raise StockadeError(f"{problem} has the id {quote(machine)}", hint=hint)
    return matching.pop()


def kill(machine: str) -> Record:
    """End the machine named by a unique prefix of its id, at once; raise if there is none."""
    record = find(machine)
    (folder_of(record.id) / _KILLED).touch()
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(record.pid)
        try:
            if record.alive:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
    return record


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return 0 if state == "Z" else int(fields[18])


def _is_sound(record: Record) -> bool:
    """Tell whether the fields are what they should be; JSON may have put anything there."""
    numbers: tuple[object, ...] = (record.pid, record.ticks, record.owner)
    texts: tuple[object, ...] = (record.backend, record.image, record.profile, *record.command)
    return (
        all(type(number) is int for number in numbers)  # true and false are no numbers here
        and all(isinstance(text, str) for text in texts)
        and isinstance(record.command, list)
        and isinstance(record.started, int | float)
    )
