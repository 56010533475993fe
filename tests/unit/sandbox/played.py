"""A machine without one: its agent, and the monitor of its hypervisor, played over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
from tests.unit.sandbox.conftest import Peer

from stockade.model.errors import MissingToolError
from stockade.sandbox.backends.base import Links
from stockade.wire.adoption import ADOPTION_SIZE, Adoption
from stockade.wire.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stockade.sandbox.backends.base import Hardware

    Play = Callable[[Peer], Awaitable[None]]

DONE = {"event": "done", "kernel": "6.1"}
_GREETING = {"QMP": {"version": {}, "capabilities": ["oob"]}}


@dataclass
class Ends:
    """The hypervisor's ends of a machine's links."""

    channel: socket.socket
    control: socket.socket
    monitor: socket.socket
    saved: int

    def close(self) -> None:
        """Hang up everywhere; fine when that was done."""
        for end in (self.channel, self.control, self.monitor):
            end.close()
        if self.saved >= 0:
            os.close(self.saved)
            self.saved = -1


def make_links() -> tuple[Links, Ends]:
    """Connect a machine that is yet to be played."""
    (channel, channel_end), (control, control_end), (monitor, monitor_end) = (
        socket.socketpair() for _ in range(3)
    )
    readable, writable = os.pipe()
    links = Links(channel, control, monitor, readable, f"/proc/self/fd/{writable}")
    return links, Ends(channel_end, control_end, monitor_end, writable)


async def adoption(ends: Ends) -> Adoption:
    """Wait for the host's first word."""
    record = b""
    ends.control.setblocking(False)
    while len(record) < ADOPTION_SIZE:
        await anyio.wait_readable(ends.control)
        chunk = ends.control.recv(ADOPTION_SIZE - len(record))
        if not chunk:
            raise ConnectionResetError("the host has hung up")
        record += chunk
    return Adoption.unpack(record)


@dataclass
class PlayedMachine:
    """``play`` is its agent, and ``words`` are its last. What its monitor was asked is kept."""

    play: Play
    words: str
    links: Links
    ends: Ends
    pid: int = field(default_factory=os.getpid)
    closed: int = 0
    adoptions: list[Adoption] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    async def wait(self) -> str:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._monitor)
                with contextlib.suppress(OSError, ProtocolError):
                    self.adoptions.append(await adoption(self.ends))
                    peer = Peer(self.ends.channel)
                    await peer.raw(b"of a former life" + self.adoptions[-1].nonce)
                    await peer.flush()
                    await self.play(peer)
                tasks.cancel_scope.cancel()
        finally:
            self.ends.close()
        return self.words

    async def close(self) -> None:
        self.closed += 1
        if self.closed == 1:
            self.links.close()
        self.ends.close()

    async def _monitor(self) -> None:
        """Do whatever QMP asks, which for the state's part is to save five bytes."""
        with contextlib.suppress(OSError):
            self.ends.monitor.setblocking(False)
            self.ends.monitor.sendall(json.dumps(_GREETING).encode() + b"\n")
            while True:
                await anyio.wait_readable(self.ends.monitor)
                line = self.ends.monitor.recv(1 << 16)
                if not line:
                    return
                asked = json.loads(line)
                self.commands.append(asked["execute"])
                if asked["execute"] == "xen-save-devices-state":
                    os.write(self.ends.saved, b"state")
                answer = {"return": {}, **({"id": asked["id"]} if "id" in asked else {})}
                self.ends.monitor.sendall(json.dumps(answer).encode() + b"\n")


class PlayedBackend:
    """Makes machines of a kind, and remembers what was asked for."""

    name = "played"
    accelerator = "none"
    kind = PlayedMachine

    def __init__(self, play: Play, words: str = "") -> None:
        self._play, self._words = play, words
        self.hardware: list[Hardware] = []
        self.machines: list[PlayedMachine] = []
        self.started = anyio.Event()

    async def start(self, hardware: Hardware) -> PlayedMachine:
        self.hardware.append(hardware)
        for disk in hardware.disks:
            assert os.fstat(disk.fd)
        made = self.kind(self._play, self._words, *make_links())
        self.machines.append(made)
        self.started.set()
        return made


class FailingBackend:
    """Makes none."""

    name = "failing"
    accelerator = "none"

    async def start(self, hardware: Hardware) -> PlayedMachine:
        raise MissingToolError("nothing is installed", hint="Run: apt install everything")


class Agent:
    """Answers requests until there are none; ``answers`` replace the usual ones, by operation."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self._answers = answers
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, peer: Peer) -> None:
        while True:
            call, request = await peer.request()
            self.requests.append(request)
            await peer.answer(call, self._answers.get(str(request["op"]), DONE))
            peer.connection.end(call)


async def greet_and_wait(peer: Peer) -> None:
    """Say hello and nothing more."""
    await peer.event()


async def hang_up(peer: Peer) -> None:
    """Say hello and be gone."""
