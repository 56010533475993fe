"""The machine's end of a channel, played by the wire's other role over a real socket pair."""

from __future__ import annotations

import socket
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
    from collections.abc import AsyncIterator

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
