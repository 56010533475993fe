"""An agent that turns hostile: it speaks the protocol well until, at one point, it does not.

Random bytes alone die at the first frame. This peer answers what the host asks, so that its damage
arrives at every stage of a session: in the greeting, in an answer, in the middle of an output.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stockade.sandbox.backends.base import Links
from stockade.wire import events
from stockade.wire.adoption import ADOPTION_SIZE, Adoption
from stockade.wire.connection import Connection, Role
from stockade.wire.errors import ProtocolError, StreamClosedError
from stockade.wire.frames import HEADER_SIZE, MAX_PAYLOAD, Kind, encode_header
from stockade.wire.messages import MessageReader, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from stockade.sandbox.backends.base import Hardware

_USAGE = {"wall": 0.1, "cpu_user": 0.1, "cpu_system": 0.0, "memory_peak": 1 << 20}
_EXITED = {"event": "exited", "code": 0, "signal": None, "limit": None, "usage": _USAGE}
_SCRATCH = {"scratch_used": 0, "scratch_free": 1 << 20}
_ENTRY = b'{"name":"f","kind":"file","size":1,"mode":420,"modified":0.5,"uid":1000}\n'

# What an answer is replaced by: of the right shape, or none, and with values that cannot be.
_LIES = [
    len(body).to_bytes(4, "big") + body
    for body in (
        b"{}",
        b"[]",
        b"null",
        b"{" * 5000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b'{"event":"exited"}',
        b'{"event":"exited","code":"0","signal":null,"limit":null,"usage":{}}',
        b'{"event":"exited","code":1e308,"signal":null,"limit":null,"usage":{}}',
        b'{"event":"exited","code":-1,"signal":9999,"limit":"no such","usage":[]}',
        b'{"event":"exited","code":0,"signal":null,"limit":null,"usage":{"cpu_user":NaN}}',
        b'{"event":"started","event":"exited"}',
        b'{"event":["started"]}',
        b'{"event":"failed","kind":"\\u001b[2J","message":"a\\nb\\u202ec\\u0000\\ud800"}',
        b'{"event":"failed","kind":{},"message":' + b"9" * 60 + b"}",
        b'{"event":"failed","message":"' + b"x" * 60_000 + b'"}',
        b'{"event":"done","kernel":"\\u001b]0;owned\\u0007' + b"k" * 5000 + b'"}',
        b'{"event":' + b"1" * 5000 + b"}",
        b'{"event":"\xff\xfe"}',
        b"\x00" * 64,
    )
]
_LIES += [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x01\x00\x01{"]
_GREETING = b"stockade\0\1"


def _unchanged(_rng: Random, frame: bytes, _stream: int) -> list[bytes]:
    return [frame]


def _flip(rng: Random, frame: bytes, _stream: int) -> list[bytes]:
    broken = bytearray(frame)
    broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return [bytes(broken)]


# What is sent instead of one honest frame.
_INSTEAD: dict[str, Callable[[Random, bytes, int], list[bytes]]] = {
    "noise": lambda rng, frame, _: [rng.randbytes(rng.randint(1, 4096)), frame],
    "oversize": lambda _rng, frame, stream: [
        bytes([Kind.DATA]) + b"\xff\xff\xff" + stream.to_bytes(4, "big"),
        frame,
    ],
    "repeat": lambda rng, frame, _: [frame] * rng.randint(2, 50),
    "flip": _flip,
    "opens": lambda rng, _frame, _stream: [
        encode_header(Kind.OPEN, first + 2 * number, 0)
        for first in (rng.choice((2, 3, 1000)),)
        for number in range(2000)
    ],
    "flood": lambda _rng, _frame, stream: (
        [encode_header(Kind.DATA, stream, MAX_PAYLOAD) + bytes(MAX_PAYLOAD)] * 64
    ),
    "overdraw": lambda _rng, frame, stream: [frame, encode_header(Kind.DATA, stream, 1) + b"x"] * 9,
    "swallow": lambda _rng, _frame, _stream: [],
    "greet twice": lambda _rng, frame, _: [frame, encode_header(Kind.HELLO, 0, 10) + _GREETING],
    "strange kind": lambda rng, frame, _: [bytes([rng.randint(7, 255)]) + frame[1:]],
    "credit": lambda _rng, frame, stream: (
        [frame, encode_header(Kind.CREDIT, stream, 4) + b"\xff\xff\xff\xff"] * 3
    ),
}
DAMAGES = (
    *_INSTEAD, "truncate", "close", "reorder", "lie", "dribble", "early", "stall", "stale",
    "never ours", "honest",
)  # fmt: skip


class HostileBackend:
    """A backend whose machine is a thread that plays a hostile agent."""

    name = "hostile"
    accelerator = "none"

    def __init__(self, damage: str, rng: Random, moment: int | None = None) -> None:
        self._agent = HostileAgent(damage, rng, moment)

    async def start(self, _hardware: Hardware) -> PlayedMachine:
        return PlayedMachine(self._agent)


class PlayedMachine:
    """A running machine, as ``backends.base`` has it."""

    def __init__(self, agent: HostileAgent) -> None:
        channel, peer = socket.socketpair()
        control, adoptions = socket.socketpair()
        monitor, self._hypervisor = socket.socketpair()
        saved, self._unsaved = os.pipe()
        self.links = Links(channel, control, monitor, saved, "")
        self.pid = os.getpid()
        self._open = True
        self._thread = threading.Thread(target=agent.play, args=(peer, adoptions))
        self._thread.start()

    async def wait(self) -> str:
        await to_thread.run_sync(self._thread.join, abandon_on_cancel=True)
        return ""

    async def close(self) -> None:
        if self._open:
            self._open = False
            self.links.close()
            self._hypervisor.close()
            os.close(self._unsaved)
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._thread.join)


class HostileAgent:
    """Plays until the host closes the channel; the damage comes after ``moment`` honest frames."""

    def __init__(self, damage: str, rng: Random, moment: int | None) -> None:
        self._damage, self._rng = damage, rng
        self._moment = rng.choice((0, 1, 2, 3, 4, 5, 6, 8, 10, 12)) if moment is None else moment
        self._sent = 0
        self._held: bytes = b""
        self._lying = False
        self._connection = Connection(Role.GUEST)
        self._readers: dict[int, MessageReader] = {}

    def play(self, peer: socket.socket, adoptions: socket.socket) -> None:
        with (
            peer,
            adoptions,
            contextlib.suppress(OSError, ProtocolError, StreamClosedError, ValueError),
        ):
            peer.settimeout(30)
            adoptions.settimeout(30)
            adoption = Adoption.unpack(adoptions.recv(ADOPTION_SIZE, socket.MSG_WAITALL))
            if self._damage == "stale":  # as of a copy that was saying much
                peer.sendall(self._rng.randbytes(self._rng.choice((1, 31, 32, 33, 1 << 20))))
            while self._damage == "never ours":
                peer.sendall(adoption.nonce[:-1] + bytes(1 << 16))
            peer.sendall(adoption.nonce)
            self._connection.start()
            self._flush(peer)
            while chunk := peer.recv(1 << 16):
                for event in self._connection.receive(chunk):
                    self._take(event)
                self._flush(peer)

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.StreamOpened) and event.payload == b"call":
            self._readers[event.stream] = MessageReader(1 << 22)
        elif isinstance(event, events.DataReceived):
            if self._damage != "stall":
                self._connection.consumed(event.stream, len(event.data))
            if reader := self._readers.get(event.stream):
                for message in reader.feed(event.data):
                    self._answer(event.stream, message)

    def _answer(self, call: int, request: dict[str, object]) -> None:
        operation = request.get("op")
        if operation in ("exec", "file"):
            self._say(call, {"event": "started"})
            output = int(str(request["stdout"]))
            what = _ENTRY if operation == "file" else b"out\n" * 50
            if self._damage == "early":
                self._say(call, {**_EXITED, **_SCRATCH})
            for _ in range(3):
                self._connection.send(output, what)
            self._connection.end(output)
            self._connection.end(int(str(request["stderr"])))
            self._say(call, {**_EXITED, **_SCRATCH})
        elif operation == "stats":
            self._say(call, {"event": "done", "memory": 1, "commands": 0})
        else:
            self._say(call, {"event": "done", "kernel": "6.1"})
        self._connection.end(call)

    def _say(self, call: int, message: dict[str, object]) -> None:
        encoded = encode_message(message)
        if self._damage == "lie" and self._rng.random() < 0.3:
            encoded = self._rng.choice(_LIES)
        self._connection.send(call, encoded)

    def _flush(self, peer: socket.socket) -> None:
        wire = b"".join(self._connection.take_output())
        start = 0
        while start < len(wire):
            end = start + HEADER_SIZE + int.from_bytes(wire[start + 1 : start + 4], "big")
            self._send(peer, wire[start:end])
            start = end

    def _send(self, peer: socket.socket, frame: bytes) -> None:
        self._sent += 1
        if self._damage == "dribble" and self._sent > self._moment:
            for index in range(len(frame)):
                peer.sendall(frame[index : index + 1])
        elif self._sent - 1 == self._moment:
            for part in self._damaged(frame, peer):
                peer.sendall(part)
        else:
            peer.sendall(frame + self._held)
            self._held = b""

    def _damaged(self, frame: bytes, peer: socket.socket) -> list[bytes]:
        if self._damage == "reorder":
            self._held = frame  # goes out after the next one
            return []
        if self._damage in ("truncate", "close"):
            peer.sendall(frame[: self._rng.randrange(len(frame)) * (self._damage == "truncate")])
            peer.close()
            return []
        # A stream that is open, was, or never will be.
        stream = self._rng.choice((1, 2, 3, 5, 7, 9, 11, 0xFFFF_FFFF))
        return _INSTEAD.get(self._damage, _unchanged)(self._rng, frame, stream)
