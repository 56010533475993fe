from __future__ import annotations

import socket
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest

from stockade.guest import network
from stockade.guest.channel import Channel
from stockade.guest.network import Network, Sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.guest.conftest import Host

    from stockade.guest.channel import Handler
    from stockade.guest.loop import Loop

LOOPBACK = IPv6Address("::1").packed


def _nothing(_stream: int, _payload: bytes | bytearray) -> Handler:
    raise AssertionError("the host opens nothing here")


@pytest.fixture
def served(loop: Loop, host: Host, sockets: Sockets) -> Iterator[Sockets]:
    channel = Channel(loop, host.port, _nothing)
    Network(loop, sockets, lambda: channel)
    yield sockets
    channel.abandon("the test is over")


@pytest.fixture
def asker(served: Sockets) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.connect(served.questions.getsockname())
        one.setblocking(False)
        yield one


def _opened(host: Host, count: int = 1) -> list[int]:
    host.serve(lambda: len(host.opened) >= count, f"{count} streams")
    return list(host.opened)


def test_a_connection_is_a_stream_that_says_where_to(host: Host, served: Sockets) -> None:
    address = served.connections.getsockname()
    with socket.create_connection(address[:2]) as program:
        (stream,) = _opened(host)
        assert host.opened[stream] == b"connect" + LOOPBACK + address[1].to_bytes(2, "big")
        program.send(b"hello")
        host.serve(lambda: host.received[stream] == b"hello", "what the program says")


def test_so_many_connections_at_once_and_no_more(
    host: Host, served: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "CONNECTIONS", 2)
    address = served.connections.getsockname()[:2]
    programs = [socket.create_connection(address) for _ in range(3)]
    first, second = _opened(host, 2)
    programs[1].send(b"by now the third would have been there")
    host.serve(lambda: host.received[second], "what the second program says")
    assert len(host.opened) == 2
    host.connection.reset(first, "over")
    _opened(host, 3)
    for program in programs:
        program.close()


def test_a_question_is_a_stream_and_its_answer_goes_back(host: Host, asker: socket.socket) -> None:
    asker.send(b"question?")
    (stream,) = _opened(host)
    assert host.opened[stream] == b"question" + LOOPBACK + (53).to_bytes(2, "big")
    host.serve(lambda: stream in host.ended, "the whole question")
    assert host.received[stream] == b"question?"
    host.say(stream, b"answer", last=True)
    answer: list[bytes] = []

    def come() -> bool:
        try:
            answer.append(asker.recv(100))
        except BlockingIOError:
            return False
        return True

    host.serve(come, "the answer")
    assert answer == [b"answer"]


@pytest.mark.parametrize("silently", [True, False])
def test_a_question_without_an_answer_makes_room_for_another(
    host: Host, asker: socket.socket, silently: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_QUESTIONS", 1)
    asker.send(b"1")
    (first,) = _opened(host)
    asker.send(b"dropped")
    if silently:
        host.serve(lambda: first in host.ended, "the question")
        host.connection.end(first)
    else:
        host.connection.reset(first, "no")

    def again() -> bool:
        asker.send(b"2")
        return len(host.opened) > 1

    host.serve(again, "the next question")


def test_a_question_that_is_too_long_is_dropped(host: Host, asker: socket.socket) -> None:
    asker.send(bytes(4097))
    asker.send(bytes(4096))
    (stream,) = _opened(host)
    host.serve(lambda: stream in host.ended, "the question")
    assert len(host.received[stream]) == 4096
