"""The journal of a session: one JSON document a line, each durable before its action goes ahead."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from anyio import Lock, to_thread
from pydantic import ValidationError

from stockade.model.errors import StockadeError
from stockade.model.event import EVENT, Decision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from stockade.model.event import Event

MAX_LINE = 1024 * 1024
"""Bytes of one event, its end of line included."""


class Journal:
    """A journal being written: a new file, private to its owner. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._broken = False
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    async def record(self, event: Event) -> None:
        """Return once ``event`` is on the disk; after a failure nothing more is taken."""
        line = event.model_dump_json().encode() + b"\n"
        if len(line) > MAX_LINE:
            raise ValueError("the event is too large for the journal")
        async with self._lock:
            if self._broken:
                raise OSError("an earlier event could not be written")
            try:
                await to_thread.run_sync(self._write, line)
            except BaseException:
                # Half a line may be there; one behind it would be lost with it.
                self._broken = True
                raise

    def _write(self, line: bytes) -> None:
        if os.write(self._fd, line) != len(line):
            raise OSError("the disk is full")
        os.fdatasync(self._fd)


def read_journal(path: Path) -> Iterator[Event]:
    """The events of a journal, oldest first; ``StockadeError`` names the line that is none.

    A last line without its end is what a crash leaves, and is not an event.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if not line.endswith(b"\n"):
                    if len(line) > MAX_LINE:
                        raise StockadeError(f"{path}:{number}: longer than any event")
                    return
                try:
                    yield EVENT.validate_json(line)
                except ValidationError:
                    raise StockadeError(f"{path}:{number}: not an event of a journal") from None
    except OSError as error:
        raise StockadeError(f"cannot read journal {path}: {error.strerror}") from None


def read_decisions(path: Path) -> Iterator[Decision]:
    """The gate's decisions of a journal, oldest first; ``StockadeError`` as for all events."""
    return (event for event in read_journal(path) if isinstance(event, Decision))
