"""The agent's event loop: file descriptors, timers and ended children.

asyncio would cost a third of the agent's start under emulation, and the agent needs none of it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Loop:
    """Calls back when a descriptor is ready, a moment has come, or a child has ended."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._interest: dict[int, int] = {}
        self._timers: dict[object, tuple[float, float, Callable[[], None]]] = {}
        self._children: dict[int, Callable[[int], None]] = {}
        self._stopped = False
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._wake = wake_read
        self.watch(wake_read, READ, self._reap)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call ``handler(ready_events)`` whenever ``fd`` is ready for one of ``events``.

        With no events the descriptor stays known but silent; hang-ups are reported with either.
        """
        if not events:
            self.forget(fd)
        elif fd not in self._handlers:
            self._poll.register(fd, events)
        elif self._interest[fd] != events:
            self._poll.modify(fd, events)
        if events:
            self._handlers[fd] = handler
            self._interest[fd] = events

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``; fine when it is not watched."""
        if self._handlers.pop(fd, None) is not None:
            del self._interest[fd]
            self._poll.unregister(fd)

    def readable(self, fd: int) -> bool:
        """Tell whether ``fd``, which is watched for that, has something to read right now."""
        # An exception from a read that finds nothing would cost much more under emulation.
        for ready, events in self._poll.poll(0):
            if ready == fd:
                return bool(events & READ)
        return False

    def every(self, seconds: float, key: object, action: Callable[[], None]) -> None:
        """Call ``action`` every ``seconds`` until ``cancel(key)``."""
        self._timers[key] = (time.monotonic() + seconds, seconds, action)

    def cancel(self, key: object) -> None:
        """Drop the timer ``key``; fine when there is none."""
        self._timers.pop(key, None)

    def on_exit(self, pid: int, action: Callable[[int], None]) -> None:
        """Call ``action(wait_status)`` once the child ``pid`` has ended."""
        self._children[pid] = action

    def wait(self, pid: int) -> None:
        """Collect a child that is about to end; nothing is called for it."""
        self._children.pop(pid, None)
        os.waitpid(pid, 0)

    def stop(self) -> None:
        """Leave ``run`` after the handlers of this turn."""
        self._stopped = True

    def run(self) -> None:
        """Serve until ``stop``."""
        while not self._stopped:
            for fd, events in self._poll.poll(self._patience()):
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler(events)
            self._fire()

    def _patience(self) -> float | None:
        if not self._timers:
            return None
        soonest = min(due for due, _, _ in self._timers.values())
        return max(0.0, soonest - time.monotonic())

    def _fire(self) -> None:
        now = time.monotonic()
        for key, timer in list(self._timers.items()):
            due, period, action = timer
            # An action before this one may have cancelled the timer, or put another in its place.
            if due <= now and self._timers.get(key) is timer:
                self._timers[key] = (now + period, period, action)
                action()

    def _reap(self, _events: int) -> None:
        """Collect every ended child: as process 1 the agent inherits all orphans too."""
        os.read(self._wake, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            action = self._children.pop(pid, None)
            if action is not None:
                action(status)
