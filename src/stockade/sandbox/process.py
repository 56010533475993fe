"""A command in a machine, seen from the host."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from stockade.model import exitcodes
from stockade.model.errors import MachineError
from stockade.model.outcome import Limit, Outcome, Usage
from stockade.model.quantities import format_duration, format_size
from stockade.sandbox.calls import Call, patience
from stockade.sandbox.stopwatch import Stopwatch

if TYPE_CHECKING:
    from stockade.model.limits import Limits
    from stockade.sandbox.channel import Channel, Stream

_LOOK = 0.5  # seconds between looks at whether a paused session goes on
_MOST = 1 << 50  # what a number of bytes or seconds from inside the wall may be at most


@dataclass(frozen=True)
class Terminal:
    """A terminal's size in characters."""

    rows: int
    columns: int


class Process:
    """A running command: its streams, its end, and a hand on it.

    With a terminal, ``stderr`` is None and both outputs come by ``stdout``. The output limit counts
    here, on the host, and so does the time; the other limits are the guest kernel's.
    """

    def __init__(
        self,
        channel: Channel,
        limits: Limits,
        terminal: Terminal | None = None,
        *,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._limits = limits
        self._stopwatch = stopwatch or Stopwatch()
        self._limit: Limit | None = None
        self._output = 0
        self._started = self._stopwatch.now()
        self._terminal = terminal
        with ExitStack() as opened:  # if one stream cannot be had, the others are given back

            def open_stream() -> Stream:
                stream = channel.open(b"data")
                opened.callback(stream.abandon, "not used")
                return stream

            self.stdin = open_stream()
            self._stdout = open_stream()
            self._stderr = None if terminal else open_stream()
            self._call = Call(channel)
            opened.pop_all()

    async def start(self, request: dict[str, Any]) -> None:
        """Have the agent start what ``request`` says on this process's streams."""
        streams = {"stdin": self.stdin.id, "stdout": self._stdout.id}
        if self._stderr:
            streams["stderr"] = self._stderr.id
            self._stderr.end()
        self._stdout.end()
        size = self._terminal
        tty = {"rows": size.rows, "columns": size.columns} if size else None
        with patience():
            await self._call.say(
                {**request, **streams, "tty": tty, "cpu_time": self._limits.cpu_time}
            )
            self._expect(await self._call.answer(), "started")
        self._started = self._stopwatch.now()

    async def read_stdout(self) -> bytes:
        """Return the next bytes of standard output, or b"" after the last."""
        return await self._read(self._stdout)

    async def read_stderr(self) -> bytes:
        """Return the next bytes of standard error, or b"" after the last."""
        return await self._read(self._stderr) if self._stderr else b""

    async def signal(self, name: str) -> None:
        """Send a signal, such as ``TERM``, to the command's process group."""
        await self._call.say({"op": "signal", "signal": name})

    async def resize(self, terminal: Terminal) -> None:
        """Tell the command that its terminal has another size."""
        await self._call.say({"op": "resize", "rows": terminal.rows, "columns": terminal.columns})

    async def wait(self) -> Outcome:
        """Wait for the command's end, at most for the wall time of its limits.

        Its output must be read meanwhile: a command whose output nobody takes does not end.
        """
        while True:
            left = self._started + self._limits.wall_time - self._stopwatch.now()
            # While the session is paused none of it passes, and it is looked at again.
            with anyio.move_on_after(max(left, _LOOK) if self._stopwatch.paused else left):
                try:
                    answer = self._expect(await self._call.answer(), "exited")
                    self._expect_all_output()
                    return self._judge(answer)
                except (MachineError, BrokenPipeError):
                    if self._limit is None:
                        raise
                    return self._stopped()
            if not self._stopwatch.paused and self._seconds >= self._limits.wall_time:
                break
        self.stop(Limit.WALL_TIME)
        return self._stopped()

    @property
    def _seconds(self) -> float:
        return self._stopwatch.now() - self._started

    def stop(self, limit: Limit | None) -> None:
        """End the command from this side, because of ``limit`` if one is named."""
        self._limit = self._limit or limit
        reason = f"{limit} limit" if limit else "no longer wanted"
        self._call.abandon(reason)
        for stream in (self.stdin, self._stdout, self._stderr):
            if stream:
                stream.abandon(reason)

    async def _read(self, stream: Stream) -> bytes:
        try:
            chunk = await stream.receive()
        except (MachineError, BrokenPipeError):
            if self._limit is not None:
                return b""
            raise
        allowed = self._limits.output - self._output
        self._output += len(chunk)
        if len(chunk) > allowed:
            self.stop(Limit.OUTPUT)
        return chunk[: max(allowed, 0)]

    def _stopped(self) -> Outcome:
        assert self._limit is not None  # noqa: S101 - for the type checker
        timed_out = self._limit is Limit.WALL_TIME
        return Outcome(
            code=exitcodes.TIMED_OUT if timed_out else exitcodes.KILLED,
            signal=None,
            limit=self._limit,
            reason=describe(self._limit, self._limits),
            usage=Usage(wall=self._seconds),
        )

    def _judge(self, answer: dict[str, Any]) -> Outcome:
        """Make an outcome of what the agent says, believing nothing that cannot be."""
        try:
            limit = Limit(answer["limit"]) if answer["limit"] is not None else None
            usage = answer["usage"]
            number = answer["signal"]
            return Outcome(
                code=int(_bounded(answer["code"], 255)),
                signal=None if number is None else int(_bounded(number, 64)),
                limit=limit,
                reason=describe(limit, self._limits) if limit else _note(answer, self._limits),
                usage=Usage(
                    wall=self._seconds,
                    cpu_user=_bounded(usage["cpu_user"]),
                    cpu_system=_bounded(usage["cpu_system"]),
                    memory_peak=int(_bounded(usage["memory_peak"])),
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MachineError(f"the machine broke the protocol: {error!r} in a report") from None

    def _expect_all_output(self) -> None:
        """Check that all output came before the end, so that nobody waits for more of it."""
        if not all(stream.ended for stream in (self._stdout, self._stderr) if stream):
            raise MachineError("the machine broke the protocol: a command ended before its output")

    @staticmethod
    def _expect(answer: dict[str, Any], event: str) -> dict[str, Any]:
        if answer.get("event") != event:
            raise MachineError(f"the machine broke the protocol: no {event!r} in its answer")
        return answer


def describe(limit: Limit, limits: Limits) -> str:
    """The one line that says which limit ended a command."""
    return {
        Limit.MEMORY: f"memory limit of {format_size(limits.memory)} reached",
        Limit.PROCESSES: f"limit of {limits.processes} processes reached",
        Limit.CPU_TIME: f"CPU time limit of {format_duration(limits.cpu_time or 0)} reached",
        Limit.WALL_TIME: f"time limit of {format_duration(limits.wall_time)} reached",
        Limit.OUTPUT: f"output limit of {format_size(limits.output)} reached",
        Limit.SCRATCH: f"scratch disk of {format_size(limits.scratch)} is full",
    }[limit]


def _note(answer: dict[str, Any], limits: Limits) -> str:
    """A full disk ends no command by itself, but explains why one has failed."""
    full = int(answer["code"]) != 0 and _bounded(answer["scratch_free"]) == 0
    return describe(Limit.SCRATCH, limits) if full else ""


def _bounded(value: object, most: float = _MOST) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{value!r:.40} is out of range")
    return value
