"""The network as the workload has it: connections and questions for names all go to the host.

The host hears what was asked for, and nothing here decides. A connection is a stream whose opening
payload is ``connect`` and where to; a datagram to a resolver is one that carries it to the host and
the answer back, ``question``. The payload's second part is the address in 16 bytes, IPv4 mapped
(RFC 4291, section 2.5.5.2), and its port in two.
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, NamedTuple

from stockade.guest import routes, steering
from stockade.guest.loop import READ
from stockade.guest.relay import Relay
from stockade.wire.errors import StreamLimitError

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from stockade.guest.channel import Channel
    from stockade.guest.loop import Loop

CONNECTIONS = 256
"""Connections at once; more wait in the kernel's queue, and beyond that are not answered."""

_QUESTIONS = 64  # waiting at once; more are dropped, as a network may
_QUESTION = 4096  # bytes
_IPV6_V6ONLY, _IPV6_RECVPKTINFO, _IPV6_PKTINFO, _IPV6_TRANSPARENT = 26, 49, 50, 75
_DNS = 53


class Sockets(NamedTuple):
    """Where the workload's connections and questions arrive, and what steers them there."""

    connections: socket
    questions: socket
    steering: int


def open_sockets() -> Sockets:
    """Make every address lead here. Once, before there is a workload."""
    import socket  # noqa: PLC0415 - costs 20 ms of the boot under emulation, so it is not at the top

    routes.lead_home()
    both = []
    for kind, port in ((socket.SOCK_STREAM, 0), (socket.SOCK_DGRAM, _DNS)):
        one = socket.socket(socket.AF_INET6, kind)
        one.setsockopt(socket.IPPROTO_IPV6, _IPV6_V6ONLY, 0)
        one.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)  # answers come from any address
        one.setblocking(False)
        one.bind(("::", port))
        both.append(one)
    connections, questions = both
    connections.listen(CONNECTIONS)
    questions.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    return Sockets(connections, questions, steering.steer(connections, questions))


class Network:
    """Takes connections and questions to the host of the moment."""

    def __init__(self, loop: Loop, sockets: Sockets, channel: Callable[[], Channel]) -> None:
        self._loop, self._sockets, self._channel = loop, sockets, channel
        self._connections = self._questions = 0
        loop.watch(sockets.questions.fileno(), READ, self._ask)
        self._listen()

    def _listen(self) -> None:
        self._loop.watch(self._sockets.connections.fileno(), READ, self._connect)

    def _connect(self, _events: int) -> None:
        try:
            end, _ = self._sockets.connections.accept()
            where = end.getsockname()
        except OSError:  # it has been given up already
            return
        end.setblocking(False)
        channel = self._channel()
        try:
            stream = channel.connection.open(b"connect" + _packed(*where[:2]))
        except StreamLimitError:
            end.close()
            return
        self._connections += 1
        if self._connections >= CONNECTIONS:
            self._loop.forget(self._sockets.connections.fileno())
        Relay(self._loop, channel, end, stream, self._disconnected)
        channel.flush()

    def _disconnected(self) -> None:
        self._connections -= 1
        self._listen()

    def _ask(self, _events: int) -> None:
        try:
            question, control, _, asker = self._sockets.questions.recvmsg(_QUESTION + 1, 64)
        except OSError:
            return
        info = next((data for _, kind, data in control if kind == _IPV6_PKTINFO), b"")
        if len(question) > _QUESTION or not info or self._questions >= _QUESTIONS:
            return
        channel = self._channel()
        with contextlib.suppress(StreamLimitError):
            stream = channel.connection.open(b"question" + info[:16] + struct.pack(">H", _DNS))
            self._questions += 1
            channel.handle(stream, _Question(self, channel, info, asker))
            channel.send(stream, question)
            channel.end(stream)
            channel.flush()

    def answered(self, answer: bytes, info: bytes, asker: object) -> None:
        """Send ``answer`` on to ``asker``; nothing if there is none."""
        self._questions -= 1
        if answer:
            import socket  # noqa: PLC0415 - as above

            control = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, info)]
            with contextlib.suppress(OSError):
                self._sockets.questions.sendmsg([answer], control, 0, asker)  # type: ignore[arg-type]


class _Question:
    """One datagram's stream."""

    def __init__(self, network: Network, channel: Channel, info: bytes, asker: object) -> None:
        self._network, self._channel = network, channel
        self._info, self._asker = info, asker
        self._answer = bytearray()

    def data(self, stream: int, chunk: bytes | bytearray) -> None:
        self._answer += chunk
        self._channel.connection.consumed(stream, len(chunk))

    def ended(self, _stream: int) -> None:
        self._network.answered(bytes(self._answer), self._info, self._asker)

    def reset(self, _stream: int, _reason: str) -> None:
        self._network.answered(b"", self._info, self._asker)

    def writable(self, _stream: int) -> None: ...


def _packed(address: str, port: int) -> bytes:
    import socket  # noqa: PLC0415 - as above

    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0]) + struct.pack(">H", port)
