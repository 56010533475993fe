"""The machine's end of a channel, the wire's other role; a small disk; a user with few rights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from stockade.model.errors import MachineError
from stockade.sandbox.channel import Channel
from stockade.wire import events
from stockade.wire.connection import Connection, Role
from stockade.wire.messages import MessageReader, encode_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_PATIENCE = 20.0  # seconds until a test that waits in vain fails


def open_descriptors() -> set[str]:
    """What this process has open, by number."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


class Peer:
    """What the agent would hear and say, step by step; ``raw`` says anything at all."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket = end
        self.connection = Connection(Role.GUEST)
        self.connection.start()
        self._heard: deque[events.Event] = deque()
        self._readers: dict[int, MessageReader] = {}
        self._messages: deque[tuple[int, dict[str, Any]]] = deque()

    async def raw(self, data: bytes) -> None:
        """Write ``data``, whatever it is."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(self.socket)

    async def flush(self) -> None:
        """Write what the connection has to say."""
        await self.raw(b"".join(self.connection.take_output()))

    async def event(self) -> events.Event:
        """Return the next event, the host's greeting apart."""
        await self.flush()
        with anyio.fail_after(_PATIENCE):
            while not self._heard:
                await anyio.wait_readable(self.socket)
                chunk = self.socket.recv(1 << 16)
                if not chunk:
                    raise ConnectionResetError("the host has hung up")
                self._heard += (
                    event
                    for event in self.connection.receive(chunk)
                    if not isinstance(event, events.PeerReady)
                )
        return self._heard.popleft()

    async def request(self) -> tuple[int, dict[str, Any]]:
        """Return the next message that comes on a ``call`` stream, and the stream."""
        while not self._messages:
            event = await self.event()
            if isinstance(event, events.StreamOpened) and event.payload == b"call":
                self._readers[event.stream] = MessageReader(1 << 22)
            elif isinstance(event, events.DataReceived) and event.stream in self._readers:
                read = self._readers[event.stream].feed(event.data)
                self._messages += ((event.stream, message) for message in read)
        return self._messages.popleft()

    async def answer(self, call: int, message: dict[str, Any]) -> None:
        """Say one message on ``call``."""
        await self.say(call, encode_message(message))

    async def say(self, stream: int, data: bytes, *, last: bool = False) -> None:
        """Say ``data`` on a stream, for which there must be credit."""
        assert self.connection.send(stream, data) == len(data)
        if last:
            self.connection.end(stream)
        await self.flush()


@dataclass
class Link:
    """A channel that runs, and the other end of it."""

    channel: Channel
    peer: Peer
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        """Serve the channel as a sandbox does."""
        await self.channel.run()
        self.channel.fail(MachineError("the machine has ended"))
        self.ended.set()


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = Link(Channel(ours), Peer(theirs))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.run)
            yield made
            tasks.cancel_scope.cancel()


def have_namespaces() -> bool:
    """Tell whether an ordinary user may make namespaces here."""
    argv = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def run_python(prefix: list[str], code: str, *arguments: object) -> str:
    """Run ``code`` and return what it printed."""
    argv = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture
def on_a_small_disk(tmp_path: Path) -> Callable[..., str]:
    """Give a way to run Python code where a folder, ``sys.argv[1]``, has one MiB of space."""
    if not have_namespaces():
        pytest.skip("no user namespaces, so there is no mounting a small disk")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]

    def run(code: str, *arguments: object) -> str:
        return run_python(prefix, code, folder, *arguments)

    return run


@pytest.fixture
def ordinarily() -> Callable[..., str]:
    """Give a way to run Python code as an ordinary user, who may read only what is open to it.

    In a namespace of its own even root has no rights over files but those of their owner.
    """
    prefix: list[str] = []
    if os.geteuid() == 0:
        if not have_namespaces():
            pytest.skip("root cannot become an ordinary user here: no user namespaces")
        prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]

    def run(code: str, *arguments: object) -> str:
        return run_python(prefix, code, *arguments)

    return run
