"""The guest's own loop, and the host's end of a channel, both in this process on real sockets.

Commands are real as well, and so are their groups, where this host lets root make some.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from stockade.guest import cgroups
from stockade.guest.cgroups import Group
from stockade.guest.loop import READ, WRITE, Loop
from stockade.wire import events
from stockade.wire.connection import Connection, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 20.0  # seconds until a test that waits in vain fails


class Host:
    """What the host would say and hear at the other end of ``port``, served by the guest's loop."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.socket, self._guest = socket.socketpair()
        self.socket.setblocking(False)
        self._guest.setblocking(False)
        self.port = self._guest.fileno()
        self.connection = Connection(Role.HOST)
        self.connection.start()
        self.received: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, str] = {}
        self.credits = True  # whether what is received counts as consumed
        self.listens = True
        self._waiting = b""
        self._look: Callable[[], object] = bool

    def close(self) -> None:
        """Close both ends, the guest's first."""
        self.loop.forget(self.port)
        self._guest.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the host's end alone."""
        self.loop.forget(self.socket.fileno())
        self.socket.close()

    def open(self, payload: bytes = b"data") -> int:
        """Open a stream, as the host does before it names it in a request."""
        stream = self.connection.open(payload)
        self.received[stream] = bytearray()
        return stream

    def say(self, stream: int, data: bytes, *, last: bool = False) -> None:
        """Send all of ``data``, for which there must be credit."""
        assert self.connection.send(stream, data) == len(data)
        if last:
            self.connection.end(stream)

    def flush(self) -> None:
        """Write what waits, as far as the guest takes it."""
        if self.socket.fileno() < 0:
            return
        self._waiting += b"".join(self.connection.take_output())
        with contextlib.suppress(BlockingIOError):
            while self._waiting:
                self._waiting = self._waiting[self.socket.send(self._waiting) :]
        interest = (READ if self.listens else 0) | (WRITE if self._waiting else 0)
        self.loop.watch(self.socket.fileno(), interest, self._ready)

    def serve(self, until: Callable[[], object], what: str) -> None:
        """Run the guest's loop until something holds."""
        deadline = time.monotonic() + _PATIENCE
        held = False

        def look() -> None:
            nonlocal held
            held = held or bool(until())
            if held or time.monotonic() > deadline:
                self.loop.stop()

        self.flush()
        self._look = look
        # A loop is made to run once; here it goes on where it was.
        self.loop._stopped = False
        self.loop.every(0.005, look, look)
        try:
            self.loop.run()
        finally:
            self.loop.cancel(look)
        assert held, f"not within {_PATIENCE} s: {what}"

    def _ready(self, ready: int) -> None:
        if ready & READ:
            for event in self.connection.receive(self.socket.recv(1 << 18)):
                self._take(event)
        self.flush()
        self._look()

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            self.received[event.stream] += event.data
            if self.credits:
                self.connection.consumed(event.stream, len(event.data))
        elif isinstance(event, events.StreamEnded):
            self.ended.add(event.stream)
        elif isinstance(event, events.StreamReset):
            self.resets[event.stream] = event.reason


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that leaves this process's signals as they were."""
    handler = signal.getsignal(signal.SIGCHLD)
    wakeup = signal.set_wakeup_fd(-1)
    made = Loop()
    yield made
    os.close(signal.set_wakeup_fd(wakeup))
    signal.signal(signal.SIGCHLD, handler)
    os.close(made._wake)


@pytest.fixture
def host(loop: Loop) -> Iterator[Host]:
    connected = Host(loop)
    yield connected
    connected.close()


class PlayedGroup(Group):
    """A real group, but for the controllers, which this host may use in version 1.

    What they would have counted is in ``measured``, the same for all groups.
    """

    measured: ClassVar[collections.Counter[str]] = collections.Counter()

    def die_together(self) -> None:
        """There is no file for it without the controller."""

    def memory(self) -> dict[str, int]:
        return {"anon": self.measured["anon"], "kernel": 0, "shmem": 0}

    def memory_peak(self) -> int:
        return 4096

    def out_of_memory_kills(self) -> int:
        return self.measured["out of memory"]

    def refused_forks(self) -> int:
        return self.measured["refused forks"]


@pytest.fixture
def workload(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedGroup]:
    """The group above all commands."""
    if os.geteuid() != 0:
        pytest.skip("only root may start what then gives up all it may")
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    roots = [point for _, point, kind, *_ in mounts if kind == "cgroup2"]
    if not roots or not os.access(roots[0], os.W_OK):
        pytest.skip("no cgroup of version 2 can be made here")
    monkeypatch.setattr(cgroups, "ROOT", roots[0])
    PlayedGroup.measured.clear()
    made = PlayedGroup(f"stockade-test-{os.getpid()}")
    yield made
    made.kill()
    deadline = time.monotonic() + _PATIENCE
    while made.populated() and time.monotonic() < deadline:
        os.sched_yield()
    for folder in (*Path(made.path).glob("*/"), Path(made.path)):
        folder.rmdir()
