from __future__ import annotations

import os
import socket
import weakref
from typing import TYPE_CHECKING

import pytest

from stockade.guest.channel import Channel
from stockade.wire.connection import WINDOW
from stockade.wire.errors import ProtocolError

if TYPE_CHECKING:
    from tests.unit.guest.conftest import Host

    from stockade.guest.loop import Loop

_GREETING = bytes.fromhex("01 00000a 00000000") + b"stockade\0\1"
_BACKLOG = 1 << 18


class _User:
    """Uses one stream; with ``echo`` it sends everything back."""

    def __init__(self, *, echo: bool = False) -> None:
        self.channel: Channel | None = None
        self.said: list[str] = []
        self.writables = 0
        self._echo = echo

    def data(self, stream: int, chunk: bytes | bytearray) -> None:
        assert self.channel
        self.channel.connection.consumed(stream, len(chunk))
        if self._echo:
            self.channel.send(stream, bytes(chunk))
        else:
            self.said.append(bytes(chunk).decode())

    def ended(self, stream: int) -> None:
        self.said.append("<ended>")
        if self._echo and self.channel:
            self.channel.end(stream)

    def reset(self, stream: int, reason: str) -> None:
        self.said.append(f"<reset: {reason}>")

    def writable(self, stream: int) -> None:
        self.writables += 1


def _channel(loop: Loop, host: Host, *users: _User) -> Channel:
    """A channel whose streams get ``users`` in turn."""
    waiting = iter(users)
    channel = Channel(loop, host.port, lambda _stream, _payload: next(waiting))
    for user in users:
        user.channel = channel
    return channel


def test_the_guest_greets_first(loop: Loop, host: Host) -> None:
    _channel(loop, host)
    assert host.socket.recv(1000) == _GREETING


def test_the_payload_of_a_stream_decides_who_gets_it(loop: Loop, host: Host) -> None:
    accepted: list[tuple[int, bytes]] = []
    user = _User(echo=True)

    def accept(stream: int, payload: bytes | bytearray) -> _User:
        accepted.append((stream, bytes(payload)))
        return user

    user.channel = Channel(loop, host.port, accept)
    stream = host.open(b"call")
    host.say(stream, b"x" * 100_000, last=True)
    host.serve(lambda: stream in host.ended, "the echo to end")
    assert accepted == [(stream, b"call")]
    assert host.received[stream] == b"x" * 100_000
    assert user.said == ["<ended>"]


def test_bytes_may_come_one_by_one(loop: Loop, host: Host) -> None:
    user = _User()
    _channel(loop, host, user)
    stream = host.open()
    host.say(stream, b"hello", last=True)
    wire = b"".join(host.connection.take_output())

    def feed() -> None:
        nonlocal wire
        host.socket.send(wire[:1])
        wire = wire[1:]

    loop.every(0.0, "feed", feed)
    host.serve(lambda: user.said[-1:] == ["<ended>"], "the last byte to arrive")
    assert "".join(user.said) == "hello<ended>"


def test_a_reset_is_told_once_and_what_is_sent_after_it_is_lost(loop: Loop, host: Host) -> None:
    user = _User()
    channel = _channel(loop, host, user)
    stream = host.open()
    host.serve(lambda: stream in channel.connection.streams, "the stream to be open")
    host.connection.reset(stream, "changed my mind")
    host.serve(lambda: user.said, "the reset to arrive")
    assert user.said == ["<reset: changed my mind>"]
    channel.send(stream, b"too late")
    channel.end(stream)
    channel.reset(stream, "too late")
    channel.flush()
    assert channel.room(stream) == 0


def test_after_its_own_reset_a_user_hears_no_more(loop: Loop, host: Host) -> None:
    user, other = _User(), _User()
    channel = _channel(loop, host, user, other)
    first, second = host.open(), host.open()
    host.serve(lambda: second in channel.connection.streams, "the streams to be open")
    channel.reset(first, "enough")
    host.say(first, b"on its way already")
    host.say(second, b"here")
    host.serve(lambda: other.said, "the second stream's data")
    assert user.said == []
    channel.flush()
    host.serve(lambda: first in host.resets, "the host to hear of it")
    assert host.resets[first] == "enough"


@pytest.mark.parametrize("first", ["guest", "host"])
def test_a_stream_ended_by_both_is_forgotten(loop: Loop, host: Host, first: str) -> None:
    kept = weakref.WeakSet[_User]()

    def accept(_stream: int, _payload: bytes | bytearray) -> _User:
        user = _User()
        kept.add(user)
        return user

    channel = Channel(loop, host.port, accept)
    stream = host.open()
    host.serve(lambda: stream in channel.connection.streams, "the stream to be open")
    if first == "guest":
        channel.end(stream)
        channel.flush()
        host.serve(lambda: stream in host.ended, "the guest's end")
    host.connection.end(stream)
    if first == "host":
        host.serve(lambda: any(user.said for user in kept), "the host's end")
        channel.end(stream)
        channel.flush()
    host.serve(lambda: not channel.connection.streams, "the stream to be gone")
    assert not kept


def test_the_loop_stops_when_the_host_hangs_up(loop: Loop, host: Host) -> None:
    user = _User()
    _channel(loop, host, user)
    stream = host.open()
    host.say(stream, b"last words")
    host.serve(lambda: user.said, "the last words")
    host.hang_up()
    loop._stopped = False
    loop.run()  # returns by itself


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(64),
        _GREETING * 2,
        _GREETING[:-1] + b"\2",
        _GREETING + bytes.fromhex("03 000001 00000001") + b"x",
        _GREETING + bytes.fromhex("03 ffffff 00000001"),
    ],
)
def test_what_is_not_the_protocol_ends_the_agent(loop: Loop, host: Host, garbage: bytes) -> None:
    """There is nobody to go on for: main powers the machine off."""
    _channel(loop, host)
    host.socket.send(garbage)
    with pytest.raises(ProtocolError):
        loop.run()


def test_a_greeting_cut_short_is_nothing_yet(loop: Loop, host: Host) -> None:
    _channel(loop, host)
    host.socket.recv(1000)
    host.socket.send(_GREETING[:9])
    host.hang_up()
    loop.run()


def _fill(channel: Channel, streams: list[int]) -> None:
    """Send until there is no room, as commands that print without end do."""
    for stream in streams:
        while room := channel.room(stream):
            channel.send(stream, bytes(room))
            channel.flush()


def test_what_waits_for_a_host_that_does_not_read_is_bounded(loop: Loop, host: Host) -> None:
    host.listens = host.credits = False
    users = [_User() for _ in range(32)]
    channel = _channel(loop, host, *users)
    streams = [host.open() for _ in users]
    host.serve(lambda: streams[-1] in channel.connection.streams, "the streams to be open")
    _fill(channel, streams)
    assert all(channel.room(stream) == 0 for stream in streams)
    taken = 0
    host.socket.setblocking(False)
    while channel._waiting:
        taken += len(host.socket.recv(1 << 20))
        channel.flush()
    assert taken < _BACKLOG + 2 * WINDOW + 1_000_000  # the last is the socket's own buffer


@pytest.mark.parametrize("drained_by", ["the loop", "an answer"])
def test_who_found_no_room_hears_when_there_is_some(
    loop: Loop, host: Host, drained_by: str
) -> None:
    """However the backlog goes: a command whose output nobody asks for again would hang."""
    host.listens = host.credits = False
    users = [_User() for _ in range(8)]
    channel = _channel(loop, host, *users)
    streams = [host.open() for _ in users]
    host.serve(lambda: streams[-1] in channel.connection.streams, "the streams to be open")
    _fill(channel, streams)
    refused = users[-1]
    # It has credit of its own, so the host will grant no more that could wake it.
    assert channel.connection.sendable(streams[-1])
    assert refused.writables == 0
    if drained_by == "the loop":
        host.listens = True
    else:
        while channel._waiting_size >= _BACKLOG:
            host.socket.recv(1 << 20)
            channel.flush()  # as whoever answers a request does
    host.serve(lambda: refused.writables, "the stream to be writable")
    assert channel.room(streams[-1])


def test_output_is_whole_and_in_order_however_slowly_it_is_read(loop: Loop, host: Host) -> None:
    host.listens = False
    user = _User()
    channel = _channel(loop, host, user)
    stream = host.open()
    host.serve(lambda: stream in channel.connection.streams, "the stream to be open")
    host.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sent = bytearray()
    host.listens = True

    def produce() -> None:
        if room := channel.room(stream):
            chunk = os.urandom(min(room, 70_001))
            sent.extend(chunk)
            channel.send(stream, chunk)
            channel.flush()
        if len(sent) > 3 * WINDOW:
            loop.cancel("produce")
            channel.end(stream)
            channel.flush()

    loop.every(0.0, "produce", produce)
    host.serve(lambda: stream in host.ended, "the end of the output")
    assert host.received[stream] == sent
