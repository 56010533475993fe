"""A hypervisor's process in its jail, from start to the last trace of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from stockade.model.errors import MachineError
from stockade.sandbox import housekeeping
from stockade.sandbox.cgroups import Ceiling, Group, find_hierarchy

if TYPE_CHECKING:
    from stockade.sandbox.backends.base import Links
    from stockade.sandbox.jail import Jail

_TAIL = 16 * 1024  # bytes kept of what the console and the hypervisor said last
_START = 20.0  # seconds for the jail to be set up
_END = 10.0  # seconds for a killed jail to be gone
_INFO_LIMIT = 4096


class ConfinedProcess:
    """A running machine's process. ``pid`` is the hypervisor's, ``links`` lead into the machine."""

    def __init__(self, process: anyio.abc.Process, init: int, group: Group, links: Links) -> None:
        self._process = process
        self._init = init
        self._group = group
        self._tail = bytearray()
        self.links = links
        self._open = True

    @property
    def pid(self) -> int:
        """The process id of the hypervisor: the one child of the jail's first process."""
        return _only_child(self._init) or self._init

    @classmethod
    async def start(
        cls,
        jail: Jail,
        arguments: list[str],
        *,
        machine: str,
        ceiling: Ceiling,
        links: Links,
        pass_fds: list[int],
        filter_fd: int | None = None,
    ) -> ConfinedProcess:
        """Start the jail's program; ``links`` are closed with it, or here if this fails."""
        group = Group()
        info_read, info_write = os.pipe()
        process = None
        try:
            group = _make_group(machine, ceiling)
            # Cancelled here, asyncio would kill what nobody could clean up after.
            with anyio.CancelScope(shield=True):
                process = await anyio.open_process(
                    jail.command(
                        arguments,
                        entrances=group.entrances,
                        info_fd=info_write,
                        filter_fd=filter_fd,
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # the terminal's Ctrl-C is for Stockade alone
                    pass_fds=[
                        info_write,
                        *([] if filter_fd is None else [filter_fd]),
                        *pass_fds,
                    ],
                    env={},
                )
            assert process is not None  # noqa: S101 - for the type checker
            os.close(info_write)
            info_write = -1
            init = await _read_info(info_read, process)
            return cls(process, init, group, links)
        except BaseException:
            links.close()
            with anyio.CancelScope(shield=True):
                if process is not None:
                    _kill_starting(process.pid)
                    await process.wait()
                    await process.aclose()
                await _remove_group(group)
            raise
        finally:
            os.close(info_read)
            if info_write >= 0:
                os.close(info_write)

    async def wait(self) -> str:
        """Wait for the end of the machine and return its last words, one line or ""."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        async for chunk in self._process.stdout:
            self._tail += chunk
            del self._tail[:-_TAIL]
        await self._process.wait()
        return self.last_words

    @property
    def last_words(self) -> str:
        """The last line that the console or the hypervisor printed, made safe to show."""
        return _last_line(self._tail)

    async def close(self) -> None:
        """Kill the machine and wait until nothing of it is left."""
        with anyio.CancelScope(shield=True):
            if self._open:
                self._open = False
                self.links.close()
            if self._process.returncode is None:
                # bubblewrap itself ends only after the last process of the jail has.
                _kill(self._init)
                with anyio.move_on_after(_END):
                    await self._process.wait()
                _kill(self._process.pid)
            await self._process.wait()
            await self._process.aclose()
            await _remove_group(self._group)


def _make_group(machine: str, ceiling: Ceiling) -> Group:
    hierarchy = find_hierarchy()
    name = f"stockade-{machine}"
    housekeeping.watch(*sorted({parent / name for parent in hierarchy.parents.values()}))
    try:
        return hierarchy.create(name, ceiling)
    except OSError as error:
        raise MachineError(f"cannot limit the machine by a cgroup: {error}") from None


async def _remove_group(group: Group) -> None:
    for _ in range(200):
        group.remove()
        if not any(folder.exists() for folder in group.folders):
            break
        await anyio.sleep(0.005)  # a process that has ended leaves its group a little later
    housekeeping.forget(*group.folders)


async def _read_info(fd: int, process: anyio.abc.Process) -> int:
    """Read bubblewrap's word on the jail's first process; explain if the jail did not come up."""
    text = b""
    with anyio.move_on_after(_START):
        while len(text) < _INFO_LIMIT:
            await anyio.wait_readable(fd)
            chunk = os.read(fd, _INFO_LIMIT)
            text += chunk
            if not chunk or b"}" in chunk:
                break
    try:
        return int(json.loads(text)["child-pid"])
    except (ValueError, KeyError, TypeError):
        said = await _output(process)
        raise MachineError(f"the machine's jail did not come up: {said}") from None


async def _output(process: anyio.abc.Process) -> str:
    """What a jail that has failed says about it, or else its exit status."""
    said = b""
    with anyio.move_on_after(2):
        if process.stdout is not None:
            async for chunk in process.stdout:
                said = (said + chunk)[-_TAIL:]
        await process.wait()
    return _last_line(said) or f"exit status {process.returncode}"


def _last_line(said: bytes | bytearray) -> str:
    lines = said.decode(errors="replace").splitlines()
    spoken = [line.strip() for line in lines if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in spoken[-1])[:300] if spoken else ""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_starting(bubblewrap: int) -> None:
    """Kill a bubblewrap that may be anywhere in its start, and what it has started.

    Its child, the jail's first process, asks only after a while to die with it. Stopped, it starts
    no other; that child's own are in its process namespace and end with it.
    """
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(bubblewrap, signal.SIGSTOP)
        os.waitid(os.P_PID, bubblewrap, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if child := _only_child(bubblewrap):
            _kill(child)
        os.kill(bubblewrap, signal.SIGKILL)


def _only_child(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()[0])
    except (OSError, IndexError, ValueError):
        return 0
