"""One command of the workload, from request to report."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import time
from typing import TYPE_CHECKING, Any

from stockade.guest.pumps import InputPump, OutputPump
from stockade.guest.rootfs import TERMINALS
from stockade.guest.spawn import Spare, Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.guest.cgroups import Group
    from stockade.guest.channel import Channel
    from stockade.guest.loop import Loop

_PIPE_SIZE = 1 << 20
_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430  # ioctl_tty(2)
_KILLED = 128 + signal.SIGKILL
_SETTLE = 0.01  # seconds between looks at whether a killed group is empty


class Command:
    """A process with its descendants, streams, limits and usage.

    ``report`` is called once, when the process has ended, its group is empty and its output sent,
    with ``code``, ``signal``, ``limit`` (which one ended it, or None) and ``usage``.
    """

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        group: Group,
        *,
        cpu_time: float | None,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._loop, self._channel, self.group = loop, channel, group
        self._cpu_time = cpu_time
        self._report = report
        self._limit: str | None = None
        self._status: int | None = None
        self._open_outputs = 0
        self._input: InputPump | None = None
        self._terminal = -1
        self._pid = 0
        self._started = time.monotonic()

    def start(self, spare: Spare, request: dict[str, Any], order: tuple[Any, ...]) -> None:
        """Have ``spare`` do ``order`` with the request's streams as its own."""
        stdin, outputs = request["stdin"], [request["stdout"]]
        if not request.get("tty"):
            outputs.append(request["stderr"])
        inner, outer = self._open(request)
        try:
            spare.start(inner, order)
        except BaseException:
            for fd in outer:
                os.close(fd)
            raise
        finally:
            for fd in set(inner[:3]):
                os.close(fd)
        self._pid = spare.pid
        self._loop.on_exit(self._pid, self._exited)
        self._input = InputPump(self._loop, self._channel, outer[0], stdin, terminal=inner.terminal)
        self._open_outputs = len(outputs)
        for fd, stream in zip(outer[1:], outputs, strict=True):
            OutputPump(self._loop, self._channel, fd, stream, self._output_done)

    def signal(self, name: str) -> None:
        """Send a signal, such as ``TERM``, to the command's process group."""
        if self._pid:
            number = signal.Signals[f"SIG{name}"]
            try:
                os.killpg(self._pid, number)
            except ProcessLookupError:  # its child has not come as far as to lead a group
                os.kill(self._pid, number)

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size in characters; the kernel tells the command by SIGWINCH."""
        if self._terminal >= 0:
            _set_size(self._terminal, rows, columns)

    def kill(self, limit: str | None = None) -> None:
        """End the command and all it started, because of ``limit`` if one is named."""
        self._limit = self._limit or limit
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)  # it may not have joined its group yet
        self.group.kill()

    def check_limits(self) -> None:
        """Kill the command if it has run into a limit of its own group."""
        if self._limit or self._status is not None:
            return
        if self.group.out_of_memory_kills():
            self.kill("memory")
        elif self.group.refused_forks():
            self.kill("processes")
        elif self._cpu_time and sum(self.group.cpu_microseconds()) > self._cpu_time * 1e6:
            self.kill("cpu_time")

    def _open(self, request: dict[str, Any]) -> tuple[Streams, list[int]]:
        """Make the process's own ends, and the agent's: input first, then each output."""
        if size := request.get("tty"):
            master = os.open(f"{TERMINALS}/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
            number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))[0]
            slave = os.open(f"{TERMINALS}/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            os.fchown(slave, request["uid"], request["gid"])
            _set_size(master, size["rows"], size["columns"])
            self._terminal = master
            return Streams(slave, slave, slave, terminal=True), [master, os.dup(master)]
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        for _, write_end in pipes:
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        stdin, stdout, stderr = pipes
        return Streams(stdin[0], stdout[1], stderr[1]), [stdin[1], stdout[0], stderr[0]]

    def _exited(self, status: int) -> None:
        self._pid = 0  # from here on the number may be another's
        self.check_limits()  # what the last period's look was too early for
        self._status = status
        if self.group.populated():
            self.group.kill()  # whatever the command left running ends with it
            self._loop.every(_SETTLE, self, self._finish)
        self._finish()

    def _output_done(self) -> None:
        self._open_outputs -= 1
        self._finish()

    def _finish(self) -> None:
        if self._status is None or self._open_outputs or self.group.populated():
            return
        self._loop.cancel(self)
        if self._input:
            self._terminal = -1
            self._input.close()
        code = os.waitstatus_to_exitcode(self._status)
        user, system = self.group.cpu_microseconds()
        outcome = {
            "code": _KILLED if self._limit else code if code >= 0 else 128 - code,
            "signal": -code if code < 0 else None,
            "limit": self._limit,
            "usage": {
                "wall": time.monotonic() - self._started,
                "cpu_user": user / 1e6,
                "cpu_system": system / 1e6,
                "memory_peak": self.group.memory_peak(),
            },
        }
        self._report(outcome)
        self.group.remove()


def _set_size(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
