"""How a command in a machine ended, and what it used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """A limit that can end a command; the values are the keys of `limits` in a profile."""

    MEMORY = "memory"
    PROCESSES = "processes"
    CPU_TIME = "cpu_time"
    WALL_TIME = "wall_time"
    OUTPUT = "output"
    SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Usage:
    """What one command used: seconds and bytes. Memory counts the cache of files it read too."""

    wall: float = 0.0
    cpu_user: float = 0.0
    cpu_system: float = 0.0
    memory_peak: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one command ended.

    ``code`` is what `stockade run` exits with: the command's own, 128+n after signal n, or one of
    `stockade.model.exitcodes`. ``reason`` is empty when the command ended by itself, and otherwise
    one line such as `memory limit of 512MiB reached`.
    """

    code: int
    signal: int | None
    limit: Limit | None
    reason: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class ExecResult:
    """A finished command with everything it wrote."""

    outcome: Outcome
    stdout: bytes
    stderr: bytes

    @property
    def code(self) -> int:
        """The exit code of the command."""
        return self.outcome.code

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become replacement characters."""
        return self.stdout.decode("utf-8", errors="replace")
