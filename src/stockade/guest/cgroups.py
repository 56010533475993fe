"""Limits on the workload by the guest kernel's cgroup v2.

Two levels: ``workload`` holds the limits of the whole session; below it every command has a group
of its own, so that its processes can be counted, measured and killed together whatever they do.
See ``Documentation/admin-guide/cgroup-v2.rst`` in the kernel's source.
"""

from __future__ import annotations

import os

from stockade.guest import linux

ROOT = "/sys/fs/cgroup"
_CONTROLLERS = ("cpu", "memory", "pids")


def mount() -> None:
    """Mount the hierarchy and let the agent's children use the controllers."""
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("cgroup2", ROOT, "cgroup2", flags, "favordynmods")
    linux.write_file(
        f"{ROOT}/cgroup.subtree_control", " ".join(f"+{name}" for name in _CONTROLLERS)
    )


class Group:
    """One cgroup. Paths are the agent's own; the workload never sees this file system."""

    def __init__(self, name: str, parent: Group | None = None) -> None:
        self.path: str = f"{parent.path if parent else ROOT}/{name}"
        os.mkdir(self.path)

    def delegate(self) -> None:
        """Let the groups below this one have limits too."""
        linux.write_file(
            f"{self.path}/cgroup.subtree_control", " ".join(f"+{n}" for n in _CONTROLLERS)
        )

    def limit(self, *, memory: int | None = None, processes: int | None = None) -> None:
        """Bound the group: memory in bytes, processes as a count of tasks, threads included."""
        if memory is not None:
            linux.write_file(f"{self.path}/memory.max", str(memory))
        if processes is not None:
            linux.write_file(f"{self.path}/pids.max", str(processes))

    def die_together(self) -> None:
        """Have the kernel kill the whole group when it is out of memory, not one part of it."""
        linux.write_file(f"{self.path}/memory.oom.group", "1")

    def join(self) -> None:
        """Move the calling process into the group."""
        linux.write_file(f"{self.path}/cgroup.procs", "0")

    def kill(self) -> None:
        """SIGKILL everything in the group and below, at once."""
        linux.write_file(f"{self.path}/cgroup.kill", "1")

    def freeze(self, frozen: bool) -> None:
        """Stop or continue everything in the group and below."""
        linux.write_file(f"{self.path}/cgroup.freeze", str(int(frozen)))

    def populated(self) -> bool:
        """Tell whether any process is left in the group."""
        return self._keyed("cgroup.events")["populated"] == 1

    def remove(self) -> None:
        """Delete the group, which must be empty."""
        os.rmdir(self.path)

    def memory(self) -> dict[str, int]:
        """Bytes by kind, as in ``memory.stat``."""
        return self._keyed("memory.stat")

    def memory_peak(self) -> int:
        """Most bytes ever charged to the group at once."""
        return int(linux.read_file(f"{self.path}/memory.peak"))

    def out_of_memory_kills(self) -> int:
        """Processes that the kernel killed because the group was at its memory limit."""
        return self._keyed("memory.events")["oom_kill"]

    def refused_forks(self) -> int:
        """Forks refused because the group was at its limit of processes."""
        return self._keyed("pids.events")["max"]

    def cpu_microseconds(self) -> tuple[int, int]:
        """CPU time used so far in user and in system mode."""
        stat = self._keyed("cpu.stat")
        return stat["user_usec"], stat["system_usec"]

    def _keyed(self, name: str) -> dict[str, int]:
        lines = linux.read_file(f"{self.path}/{name}").splitlines()
        return {key: int(value) for key, value in (line.split() for line in lines)}
