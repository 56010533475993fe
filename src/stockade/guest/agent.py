"""What the host may ask, and who answers.

The host opens a ``call`` stream and sends one request as a JSON message; the answer comes back on
the same stream. Streams that a request names for its bytes (``stdin`` and so on) are opened before
it, with the payload ``data``. Requests by their ``op``:

``configure``  once, first: who the machine is, see ``machine.configure``
``exec``       run a program: argv, env, cwd, tty, stdin, stdout, stderr, cpu_time
``file``       one of ``files.py``'s operations: action, path, mode, stdin, stdout, stderr
``stats``      what the workload uses now
``ping``       nothing

A command is answered by ``started``, then ``exited``; meanwhile the host may send ``signal`` and
``resize`` on its stream. A request that cannot be done is answered by ``failed``. When the host
resets the stream of a command, the command is killed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from stockade.guest import files, machine, rootfs
from stockade.guest.cgroups import Group
from stockade.guest.channel import Channel
from stockade.guest.command import Command
from stockade.guest.spawn import Context, execute
from stockade.wire.messages import MessageReader, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.guest.channel import Handler
    from stockade.guest.loop import Loop

_LOOK = 0.1  # seconds between looks at the limits while commands run
_REQUEST_LIMIT = 4 << 20  # bytes; argv and environment together are at most 2 MiB on Linux


class Agent:
    """Serves the host's requests until the host closes the channel."""

    def __init__(self, loop: Loop, port: int) -> None:
        self.loop = loop
        self.commands: set[Command] = set()
        self._count = 0
        self._namespace = -1
        self._workload: Group | None = None
        self._memory = 0
        self._user = (0, 0)
        self.channel = Channel(loop, port, self._accept)

    def answer(self, call: Call, request: dict[str, Any]) -> None:
        """Do what ``request`` asks and say so on ``call``."""
        operation = request.get("op")
        if operation == "ping":
            call.finish({"event": "done"})
        elif operation == "configure":
            self._configure(request)
            call.finish({"event": "done", "kernel": os.uname().release})
        elif self._workload is None:
            call.fail("not-configured", f"{operation} before configure")
        elif operation == "stats":
            call.finish({"event": "done", **self._stats(self._workload)})
        elif operation == "exec":
            env = {os.fsencode(k): os.fsencode(v) for k, v in request["env"].items()}
            argv = [os.fsencode(word) for word in request["argv"]]
            self._run(call, request, execute(argv, env, os.fsencode(request["cwd"])))
        elif operation == "file":
            self._run(call, request, files.operation(request))
        else:
            call.fail("unknown", f"no such operation: {operation}")

    def _configure(self, request: dict[str, Any]) -> None:
        self._namespace, self._workload = machine.configure(request)
        self._memory = request["memory"]
        self._user = (request["uid"], request["gid"])

    def _run(self, call: Call, request: dict[str, Any], body: Callable[[], Any]) -> None:
        self._count += 1
        group = Group(f"command-{self._count}", self._workload)
        group.die_together()
        uid, gid = self._user
        request.update(uid=uid, gid=gid)
        command = Command(
            self.loop,
            self.channel,
            group,
            cpu_time=request.get("cpu_time"),
            report=lambda outcome: self._ended(command, call, outcome),
        )
        try:
            command.start(Context(self._namespace, uid, gid, group), request, body)
        except BaseException:
            group.remove()
            raise
        if not self.commands:
            self.loop.every(_LOOK, self, self._look)
        self.commands.add(command)
        call.command = command
        call.say({"event": "started"})

    def _ended(self, command: Command, call: Call, outcome: dict[str, Any]) -> None:
        self.commands.discard(command)
        if not self.commands:
            self.loop.cancel(self)
        used, free = rootfs.scratch_used()
        call.command = None
        call.finish({"event": "exited", "scratch_used": used, "scratch_free": free, **outcome})

    def _look(self) -> None:
        for command in list(self.commands):
            command.check_limits()
        if self._workload and self._in_use(self._workload) > self._memory:
            hungriest = max(self.commands, key=lambda command: self._in_use(command.group))
            hungriest.kill("memory")

    @staticmethod
    def _in_use(group: Group) -> int:
        """Bytes that processes hold: not the cache of files, not what lies on the scratch disk."""
        stat = group.memory()
        shared = max(0, stat["shmem"] - rootfs.scratch_used()[0])
        return stat["anon"] + stat["kernel"] + shared

    def _stats(self, workload: Group) -> dict[str, Any]:
        user, system = workload.cpu_microseconds()
        used, free = rootfs.scratch_used()
        return {
            "memory": self._in_use(workload),
            "memory_peak": workload.memory_peak(),
            "cpu_user": user / 1e6,
            "cpu_system": system / 1e6,
            "commands": len(self.commands),
            "scratch_used": used,
            "scratch_free": free,
        }

    def _accept(self, stream: int, payload: bytes | bytearray) -> Handler:
        return Call(self, stream) if payload == b"call" else _Unclaimed()


class Call:
    """One request and its answers."""

    def __init__(self, agent: Agent, stream: int) -> None:
        self._agent, self._stream = agent, stream
        self._reader = MessageReader(_REQUEST_LIMIT)
        self._asked = False
        self._open = True
        self.command: Command | None = None

    def say(self, message: dict[str, Any]) -> None:
        """Send one message to the host; there is always credit for the few there are."""
        if self._open:
            self._agent.channel.send(self._stream, encode_message(message))

    def finish(self, message: dict[str, Any]) -> None:
        """Send the last message."""
        self.say(message)
        if self._open:
            self._open = False
            self._agent.channel.end(self._stream)
        self._agent.channel.flush()

    def fail(self, kind: str, message: str) -> None:
        """Say that the request was not done."""
        self.finish({"event": "failed", "kind": kind, "message": message[:1000]})

    def data(self, stream: int, chunk: bytes | bytearray) -> None:
        """Take the request, and later the words about it."""
        self._agent.channel.connection.consumed(stream, len(chunk))
        for message in self._reader.feed(chunk):
            try:
                self._take(message)
            except OSError as error:
                self.fail("system", str(error))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self.fail("malformed", f"{type(error).__name__}: {error}")

    def ended(self, _stream: int) -> None:
        """The host has no more to say; the answer still goes out."""

    def reset(self, _stream: int, _reason: str) -> None:
        """The host gives up: what was started for it ends."""
        self._open = False
        if self.command:
            self.command.kill()

    def writable(self, _stream: int) -> None:
        """Answers are small; nothing waits for credit."""

    def _take(self, message: dict[str, Any]) -> None:
        if not self._asked:
            self._asked = True
            self._agent.answer(self, message)
        elif self.command and message.get("op") == "signal":
            self.command.signal(message["signal"])
        elif self.command and message.get("op") == "resize":
            self.command.resize(message["rows"], message["columns"])


class _Unclaimed:
    """A data stream that no request has named yet; the host sends on it only after ``started``."""

    def data(self, stream: int, chunk: bytes | bytearray) -> None: ...
    def ended(self, stream: int) -> None: ...
    def reset(self, stream: int, reason: str) -> None: ...
    def writable(self, stream: int) -> None: ...
