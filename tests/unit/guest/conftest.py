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
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from stockade.guest import agent, cgroups, machine, network, rootfs, routes
from stockade.guest.agent import Agent
from stockade.guest.cgroups import Group
from stockade.guest.loop import READ, WRITE, Loop
from stockade.guest.machine import Ports
from stockade.guest.network import Sockets
from stockade.wire import events
from stockade.wire.adoption import NONCE_SIZE, SEED_SIZE, Adoption
from stockade.wire.connection import Connection, Role
from stockade.wire.messages import MessageReader, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stockade.guest.spawn import Spare

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
        self.opened: dict[int, bytes] = {}  # by the guest, with their payloads
        self.credits = True  # whether what is received counts as consumed
        self.listens = True
        self.passed = bytearray()  # what came before it was this host's turn
        self._after = b""
        self._waiting = b""
        self._look: Callable[[], object] = bool

    @property
    def turn(self) -> bool:
        """Whether what is said now is for this host."""
        return not self._after

    def begin(self, after: bytes) -> None:
        """Be another host, to which nothing is said until the bytes ``after`` have come."""
        self.connection = Connection(Role.HOST)
        self.connection.start()
        for heard in (self.received, self.ended, self.resets, self.passed):
            heard.clear()
        self._after, self._waiting = after, b""

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
        if not self._after:  # it is not this host's turn to speak before
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
            for event in self.connection.receive(self._skip(self.socket.recv(1 << 18))):
                self._take(event)
        self.flush()
        self._look()

    def _skip(self, chunk: bytes) -> bytes:
        if not self._after:
            return chunk
        self.passed += chunk
        before, found, rest = bytes(self.passed).partition(self._after)
        if not found:
            return b""
        self.passed[:], self._after = before, b""
        return rest

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.StreamOpened):
            self.opened[event.stream] = bytes(event.payload)
            self.received[event.stream] = bytearray()
        elif isinstance(event, events.DataReceived):
            self.received[event.stream] += event.data
            if self.credits:
                self.connection.consumed(event.stream, len(event.data))
        elif isinstance(event, events.StreamEnded):
            self.ended.add(event.stream)
        elif isinstance(event, events.StreamReset):
            self.resets[event.stream] = event.reason


CONFIGURE = {
    "op": "configure",
    "memory": 64 << 20,
    "scratch": 32 << 20,
    "processes": 100,
    "uid": 65534,
    "gid": 65534,
}


def awaits_order(spare: Spare) -> bool:
    """Tell whether a spare process is done with its containment: it is in recvmsg(2), call 47."""
    return Path(f"/proc/{spare.pid}/syscall").read_text("ascii").startswith("47 ")


class Desk:
    """The host's side of a running agent."""

    def __init__(self, loop: Loop, host: Host, heard: list[Adoption]) -> None:
        self.host, self.heard = host, heard
        self.control, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self.agent = Agent(loop, Ports(host.port, self._theirs.fileno(), -1))
        self._heard: dict[int, list[dict[str, object]]] = {}
        self._readers: dict[int, MessageReader] = {}

    def adopt(self) -> Adoption:
        """Become the host that the agent works for."""
        adoption = Adoption(os.urandom(NONCE_SIZE), os.urandom(SEED_SIZE), 1.5)
        self.host.begin(after=adoption.nonce)
        self.control.sendall(adoption.pack())
        self.host.serve(lambda: self.host.turn, "the agent's first word")
        return adoption

    def close(self) -> None:
        """Close both ends of the control port, the agent's first."""
        self.host.loop.forget(self._theirs.fileno())
        self._theirs.close()
        self.control.close()

    def end_all(self) -> None:
        """End what the agent has started."""
        for command in list(self.agent.commands):
            command.kill()
        self.host.serve(lambda: not self.agent.commands, "the last commands to end")
        if spare := self.agent._spare:
            self.agent._discard(spare)

    def groups(self) -> set[str]:
        """The paths of the groups of the workload's commands and of the spare process."""
        workload = self.agent._workload
        assert isinstance(workload, PlayedGroup)
        return workload.below

    def spare(self) -> Spare:
        """The process that the next command will be, once it waits for its order."""
        spare = self.agent._spare
        assert spare
        self.host.serve(lambda: awaits_order(spare), "a spare process to be contained")
        return spare

    def ask(self, **request: object) -> int:
        """Send a request and return the stream that its answers come on."""
        call = self.host.open(b"call")
        self._heard[call], self._readers[call] = [], MessageReader(1 << 16)
        self.say(call, request)
        return call

    def say(self, call: int, message: dict[str, object]) -> None:
        self.host.say(call, encode_message(message))

    def answers(self, call: int, events: str) -> list[dict[str, Any]]:
        """Wait for the last of ``events`` and return the answers, which must be just these."""
        wanted = events.split()

        def heard() -> bool:
            raw = self.host.received[call]
            self._heard[call] += self._readers[call].feed(bytes(raw))
            raw.clear()
            return len(self._heard[call]) >= len(wanted)

        self.host.serve(heard, f"{events} on call {call}")
        assert [message["event"] for message in self._heard[call]] == wanted
        return self._heard[call]

    def configure(self, **other: int) -> dict[str, Any]:
        """Have the agent serve a session, which may be one with other limits or another user."""
        (answer,) = self.answers(self.ask(**{**CONFIGURE, **other}), "done")
        return answer

    def run(self, script: str) -> str:
        """Run a shell to its end, which must be a success, and return what it says."""
        call, output = self.exec(script)
        assert self.answers(call, "started exited")[1]["code"] == 0
        return bytes(self.host.received[output]).decode()

    def exec(self, script: str, **more: object) -> tuple[int, int]:
        """Start a shell; return its call and the stream of its output."""
        stdin, stdout, stderr = (self.host.open() for _ in range(3))
        request: dict[str, object] = {
            "op": "exec",
            "argv": ["/bin/sh", "-c", script],
            "env": {"PATH": "/usr/bin:/bin"},
            "cwd": "/",
            "stdin": stdin,
            "stdout": stdout,
            "stderr": stderr,
        }
        return self.ask(**{**request, **more}), stdout


@pytest.fixture(autouse=True)
def _routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test does, this host keeps its own routes."""

    def refuse() -> None:
        raise AssertionError("this would cut the host off")

    monkeypatch.setattr(routes, "lead_home", refuse)


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


@pytest.fixture
def sockets(loop: Loop) -> Iterator[Sockets]:
    """Where a workload's connections and questions arrive, of this host's loopback alone."""
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as connections,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as questions,
    ):
        questions.bind(("::1", 0))
        questions.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        for one in (connections, questions):
            one.setblocking(False)
        yield Sockets(connections, questions, -1)
        for one in (connections, questions):
            loop.forget(one.fileno())


class PlayedGroup(Group):
    """A real group, but for the controllers, which this host may use in version 1.

    What they would have counted is in ``measured``, the same for all groups.
    """

    measured: ClassVar[collections.Counter[str]] = collections.Counter()

    def __init__(self, name: str, parent: Group | None = None) -> None:
        super().__init__(name, parent)
        self.limits: dict[str, int] = {}

    @property
    def below(self) -> set[str]:
        """The paths of the groups in this one: those of commands, and of the spare process."""
        return {entry.path for entry in os.scandir(self.path) if entry.is_dir()}

    def die_together(self) -> None:
        """There is no file for it without the controller."""

    def delegate(self) -> None:
        """Nor is there a controller to be passed on."""

    def limit(self, *, memory: int | None = None, processes: int | None = None) -> None:
        """Nor one to be bounded by."""
        for name, value in (("memory", memory), ("processes", processes)):
            if value is not None:
                self.limits[name] = value

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
    for folder, _, _ in os.walk(made.path, topdown=False):
        Path(folder).rmdir()


@pytest.fixture
def adoptions(monkeypatch: pytest.MonkeyPatch) -> list[Adoption]:
    """What the agent was told; this host keeps its clock."""
    heard: list[Adoption] = []
    monkeypatch.setattr(machine, "renew", lambda _random, adoption: heard.append(adoption))
    return heard


@pytest.fixture
def fresh(
    loop: Loop,
    host: Host,
    adoptions: list[Adoption],
    sockets: Sockets,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Desk]:
    """An agent that nobody has adopted."""
    monkeypatch.setattr(network, "open_sockets", lambda: sockets)
    made = Desk(loop, host, adoptions)
    yield made
    made.close()


@pytest.fixture
def desk(fresh: Desk) -> Desk:
    """An agent as it is before the host's first word on the wire."""
    fresh.adopt()
    return fresh


@pytest.fixture
def ready(
    desk: Desk, workload: PlayedGroup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Desk]:
    """An agent that is configured, but for what would change this host's mounts."""
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    monkeypatch.setattr(machine, "prepare", lambda _disks: namespace)
    monkeypatch.setattr(machine, "configure", lambda *_: None)
    monkeypatch.setattr(cgroups, "Group", lambda name, parent=workload: PlayedGroup(name, parent))
    monkeypatch.setattr(agent, "Group", PlayedGroup)
    monkeypatch.setattr(rootfs, "resize", lambda **_: None)
    monkeypatch.setattr(rootfs, "SCRATCH", str(tmp_path))
    assert desk.configure()["kernel"] == os.uname().release
    yield desk
    desk.end_all()
    os.close(namespace)
