"""Limits on a machine's host process by cgroups, version 2 or 1, where they are writable.

A machine cannot use more memory than its RAM by design; these limits are for a hypervisor that a
guest has taken over. Where no cgroup can be made (an ordinary user without delegation) the jail's
rlimits are what remains, and ``stockade doctor`` says so.
See ``Documentation/admin-guide/cgroup-v2.rst`` and ``cgroup-v1/`` in the kernel's source.
"""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass, field
from pathlib import Path

_PERIOD = 100_000  # microseconds, the kernel's default for CPU quotas
_V2_CONTROLLERS = frozenset({"memory", "cpu", "pids"})


@dataclass(frozen=True)
class Ceiling:
    """What one machine's processes may use: bytes, processors (a fraction is fine), tasks."""

    memory: int
    cpus: float
    tasks: int


@dataclass(frozen=True)
class Group:
    """The cgroup directories of one machine: one in version 2, one for each controller in 1."""

    folders: tuple[Path, ...] = ()

    @property
    def entrances(self) -> list[Path]:
        """The files into which a process writes 0 to enter."""
        return [folder / "cgroup.procs" for folder in self.folders]

    def remove(self) -> None:
        """Delete the directories; those that still hold a process stay."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


@dataclass(frozen=True)
class Hierarchy:
    """Where groups can be made here. ``parents`` maps each controller to a folder of ours."""

    version: int
    parents: dict[str, Path] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Controllers that cannot be used here."""
        return sorted(_V2_CONTROLLERS - self.parents.keys())

    def create(self, name: str, ceiling: Ceiling) -> Group:
        """Make the group ``name`` with its limits; empty where nothing can be made."""
        made: list[Path] = []
        try:
            for folder in sorted({parent / name for parent in self.parents.values()}):
                folder.mkdir()
                made.append(folder)
            for controller, parent in self.parents.items():
                for file, value in self._settings(controller, ceiling).items():
                    (parent / name / file).write_text(value, encoding="ascii")
        except OSError:
            Group(tuple(made)).remove()
            raise
        return Group(tuple(made))

    def _settings(self, controller: str, ceiling: Ceiling) -> dict[str, str]:
        quota = str(int(ceiling.cpus * _PERIOD))
        if self.version == 2:
            return {
                "memory": {"memory.max": str(ceiling.memory), "memory.oom.group": "1"},
                "cpu": {"cpu.max": f"{quota} {_PERIOD}"},
                "pids": {"pids.max": str(ceiling.tasks)},
            }[controller]
        return {
            "memory": {"memory.limit_in_bytes": str(ceiling.memory)},
            "cpu": {"cpu.cfs_quota_us": quota},
            "pids": {"pids.max": str(ceiling.tasks)},
        }[controller]


@functools.cache
def find_hierarchy() -> Hierarchy:
    """Find out, by trying, where this process can make groups that limit something."""
    mounts = _mounts()
    for kind, options, point in mounts:
        if kind == "cgroup2" and "memory" in _controllers(point) and options:
            parent = _usable_v2(point)
            return Hierarchy(2, dict.fromkeys(_V2_CONTROLLERS, parent) if parent else {})
    own = _own_groups()
    parents = {}
    for kind, options, point in mounts:
        for controller in _V2_CONTROLLERS & options:
            folder = point / own.get(controller, "").lstrip("/")
            if kind == "cgroup" and folder.is_dir() and os.access(folder, os.W_OK):
                parents[controller] = folder
    return Hierarchy(1, parents)


def _usable_v2(point: Path) -> Path | None:
    """Make ``stockade`` below a group that may hand the three controllers down.

    Only a group without processes of its own may, so an ordinary session's group cannot; the root
    group can (for root), and so can a delegated service that has made room.
    """
    for base in (point / _own_groups().get("", "").lstrip("/"), point):
        folder = base / "stockade"
        try:
            folder.mkdir(exist_ok=True)
            for group in (base, folder):
                if (
                    not set((group / "cgroup.subtree_control").read_text().split())
                    >= _V2_CONTROLLERS
                ):
                    enable = " ".join(f"+{name}" for name in sorted(_V2_CONTROLLERS))
                    (group / "cgroup.subtree_control").write_text(enable, encoding="ascii")
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
        else:
            return folder
    return None


def _mounts() -> list[tuple[str, set[str], Path]]:
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    fields = (line.split() for line in lines)
    return [(kind, set(options.split(",")), Path(point)) for _, point, kind, options, *_ in fields]


def _controllers(point: Path) -> set[str]:
    try:
        return set((point / "cgroup.controllers").read_text(encoding="ascii").split())
    except OSError:
        return set()


def _own_groups() -> dict[str, str]:
    """Map each version 1 controller, and "" for version 2, to the path of this process's group."""
    groups = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups
