"""What the host may ask, and who answers.

A machine, new or copied, first hears on its control port whose it is (``wire/adoption.py``). It
answers with the nonce of that word on the other port, where from then on the wire is spoken.

The host opens a ``call`` stream and sends one request as a JSON message; the answer comes back on
the same stream. Streams that a request names for its bytes (``stdin`` and so on) are opened before
it, with the payload ``data``. Requests by their ``op``:

``configure``  before any command: who the machine is, see ``machine.configure``
``rest``       forget the session: what is copied from here on can be configured for another
``exec``       run a program: argv, env, cwd, tty, stdin, stdout, stderr, cpu_time
``file``       one of ``files.py``'s operations: action, path, mode, stdin, stdout, stderr
``stats``      what the workload uses now
``trust``      have programs trust an authority: its certificate, and a store for Java in hex
``ping``       nothing

A command is answered by ``started``, then ``exited``; meanwhile the host may send ``signal`` and
``resize`` on its stream. A request that cannot be done is answered by ``failed``. When the host
resets the stream of a command, the command is killed.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

from stockade.guest import files, linux, machine, network, rootfs
from stockade.guest.cgroups import Group
from stockade.guest.channel import Channel, drain
from stockade.guest.command import Command
from stockade.guest.disks import Disks
from stockade.guest.loop import READ
from stockade.guest.spawn import Context, Spare
from stockade.wire.adoption import ADOPTION_SIZE, Adoption
from stockade.wire.messages import MessageReader, encode_message

if TYPE_CHECKING:
    from stockade.guest.channel import Handler
    from stockade.guest.loop import Loop

_LOOK = 0.1  # seconds between looks at the limits while commands run
_REQUEST_LIMIT = 4 << 20  # bytes; argv and environment together are at most 2 MiB on Linux


class Agent:
    """Serves the host's requests until the host closes the channel."""

    def __init__(self, loop: Loop, ports: machine.Ports) -> None:
        self.loop = loop
        self.commands: dict[Command, Call] = {}
        self._ports = ports
        self._record = b""
        self._count = 0
        self._disks = Disks()
        self._namespace = -1
        self._workload: Group | None = None
        self._spare: Spare | None = None
        self._configured = False
        self._bounds: machine.Bounds | None = None
        self._user = (0, 0)
        self._channel: Channel | None = None
        loop.watch(ports.control, READ, self._adopt)
        loop.watch(ports.channel, READ, lambda _events: drain(loop, ports.channel))

    @property
    def channel(self) -> Channel:
        """The channel to whoever has adopted the machine."""
        assert self._channel is not None  # noqa: S101 - requests come by it
        return self._channel

    def answer(self, call: Call, request: dict[str, Any]) -> None:
        """Do what ``request`` asks and say so on ``call``."""
        operation = request.get("op")
        if operation == "ping":
            call.finish({"event": "done"})
        elif operation == "configure":
            self._configure(request)
            call.finish({"event": "done", "kernel": os.uname().release})
        elif self._workload is None or not self._configured:
            call.fail("not-configured", f"{operation} before configure")
        elif operation == "stats":
            call.finish({"event": "done", **self._stats(self._workload)})
        elif operation == "exec":
            env = {os.fsencode(k): os.fsencode(v) for k, v in request["env"].items()}
            argv = [os.fsencode(word) for word in request["argv"]]
            self._run(call, request, ("exec", argv, env, os.fsencode(request["cwd"])))
        elif operation == "file":
            files.check(request["action"])
            path, mode = os.fsencode(request["path"]), int(request.get("mode", 0))
            self._run(call, request, ("file", request["action"], path, mode))
        elif operation == "trust":
            from stockade.guest import trust  # noqa: PLC0415 - most machines have no network

            authority, store = request["authority"].encode("ascii"), bytes.fromhex(request["java"])
            trust.install(self._namespace, authority, store)
            call.finish({"event": "done"})
        elif operation == "rest":
            self._rest(request["disks"])
            call.finish({"event": "done"})
        else:
            call.fail("unknown", f"no such operation: {operation}")

    def _adopt(self, _events: int) -> None:
        """Begin anew with the host that says so; what went on with another one is cut off."""
        self._record += os.read(self._ports.control, ADOPTION_SIZE - len(self._record))
        if len(self._record) < ADOPTION_SIZE:
            return
        adoption = Adoption.unpack(self._record)
        self._record = b""
        machine.renew(self._ports.random, adoption)
        if self._channel:
            for call in self.commands.values():
                call.command = None  # its command goes on, and nobody hears of its end
            self._channel.abandon("the machine was copied")
        drain(self.loop, self._ports.channel)
        self._channel = Channel(
            self.loop, self._ports.channel, self._accept, preface=adoption.nonce
        )

    def _configure(self, request: dict[str, Any]) -> None:
        bounds = machine.Bounds(request["memory"], request["scratch"], request["processes"])
        user = (request["uid"], request["gid"])
        if self._workload is None:
            self._namespace = machine.prepare(self._disks)
            network.Network(self.loop, network.open_sockets(), lambda: self.channel)
        if (bounds, user) != (self._bounds, self._user):
            self._renew_workload(bounds, user)
        machine.configure(request, self._namespace, self._disks)
        self._configured = True

    def _rest(self, disks: str) -> None:
        assert self._bounds is not None  # noqa: S101 - as `answer` has seen
        self._renew_workload(self._bounds, self._user)
        self._disks.release(disks)
        self._keep(self._make_spare())
        self._configured = False
        # A collection writes to every object's page, in each copy anew.
        gc.collect()
        gc.freeze()
        gc.disable()
        linux.own_memory()

    def _renew_workload(self, bounds: machine.Bounds, user: tuple[int, int]) -> None:
        """Begin anew with what the workload may use and has used; no command may be running."""
        if self._spare:
            self._discard(self._take_spare())
        if self._workload:
            self._workload.remove()
        self._workload = machine.new_workload(bounds)
        self._bounds, self._user = bounds, user

    def _run(self, call: Call, request: dict[str, Any], order: tuple[Any, ...]) -> None:
        uid, gid = self._user
        request.update(uid=uid, gid=gid)
        spare = self._take_spare()
        command = Command(
            self.loop,
            self.channel,
            spare.context.group,
            cpu_time=request.get("cpu_time"),
            report=lambda outcome: self._ended(command, call, outcome),
        )
        try:
            command.start(spare, request, order)
        except BaseException:
            self._discard(spare)
            raise
        if not self.commands:
            self.loop.every(_LOOK, self, self._look)
        self.commands[command] = call
        call.command = command
        call.say({"event": "started"})

    def _take_spare(self) -> Spare:
        spare = self._spare
        if spare:
            self._keep(None)
            if spare.gone:  # and nobody has told us yet
                self._discard(spare)
                spare = None
        return spare or self._make_spare()

    def _keep(self, spare: Spare | None) -> None:
        """Have ``spare`` wait for the next command; it is one more than the workload may have."""
        self._spare = spare
        if self._workload and self._bounds:
            self._workload.limit(processes=self._bounds.processes + (spare is not None))

    def _make_spare(self) -> Spare:
        """Make a process for the next command, with the group that it runs in."""
        self._count += 1
        group = Group(f"command-{self._count}", self._workload)
        group.die_together()
        spare = Spare(Context(self._namespace, *self._user, group))
        self.loop.on_exit(spare.pid, lambda _status: self._spare_died(spare))
        return spare

    def _spare_died(self, spare: Spare) -> None:
        """The workload can kill what is its own user's; another one is made when it is needed."""
        if spare is self._spare:
            self._keep(None)
            spare.close()
            spare.context.group.remove()

    def _discard(self, spare: Spare) -> None:
        """End a process that no command uses, and wait until it has left its group."""
        spare.discard()
        self.loop.wait(spare.pid)
        spare.context.group.remove()

    def _ended(self, command: Command, call: Call, outcome: dict[str, Any]) -> None:
        self.commands.pop(command, None)
        if not self.commands:
            self.loop.cancel(self)
        used, free = rootfs.scratch_used()
        call.command = None
        call.finish({"event": "exited", "scratch_used": used, "scratch_free": free, **outcome})
        if self._spare is None:
            self._keep(self._make_spare())

    def _look(self) -> None:
        for command in list(self.commands):
            command.check_limits()
        if not self._workload or not self._bounds:
            return
        if self._in_use(self._workload) > self._bounds.memory:
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
