from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from stockade.guest.channel import Channel
from stockade.guest.relay import Relay
from stockade.wire.connection import WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.guest.conftest import Host

    from stockade.guest.channel import Handler
    from stockade.guest.loop import Loop


def _nothing(_stream: int, _payload: bytes | bytearray) -> Handler:
    raise AssertionError("the host opens nothing here")


@pytest.fixture
def channel(loop: Loop, host: Host) -> Channel:
    return Channel(loop, host.port, _nothing)


@pytest.fixture
def done() -> list[str]:
    """Fills when the relay has closed."""
    return []


@pytest.fixture
def program(loop: Loop, host: Host, channel: Channel, done: list[str]) -> Iterator[socket.socket]:
    """A program's end of a TCP connection that is relayed to the host as stream 2."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = socket.create_connection(server.getsockname())
        end, _ = server.accept()
    end.setblocking(False)
    stream = channel.connection.open(b"connect")
    Relay(loop, channel, end, stream, lambda: done.append("done"))
    channel.flush()
    host.serve(lambda: stream in host.opened, "the stream to be open")
    program.setblocking(False)
    yield program
    program.close()
    channel.abandon("the test is over")


STREAM = 2


def test_bytes_go_both_ways_and_both_halves_close(
    host: Host, program: socket.socket, done: list[str]
) -> None:
    program.send(b"question")
    host.serve(lambda: host.received[STREAM] == b"question", "what the program said")
    program.shutdown(socket.SHUT_WR)
    host.serve(lambda: STREAM in host.ended, "the end of what it says")
    host.say(STREAM, b"answer", last=True)
    heard = bytearray()

    def hear() -> bool:
        heard.extend(_read(program))
        return heard == b"answer"

    host.serve(hear, "the answer")
    host.serve(lambda: done, "the relay to close")
    assert program.recv(1) == b""


def test_more_than_either_side_takes_waits_and_comes_in_order(
    host: Host, program: socket.socket
) -> None:
    data = os.urandom(3 * WINDOW + 7)
    left, back = memoryview(data), bytearray()

    def out() -> bool:
        nonlocal left
        left = left[_write(program, left) :]
        return len(host.received[STREAM]) == len(data)

    host.serve(out, "all that the program says")
    assert host.received[STREAM] == data
    left = memoryview(data)

    def home() -> bool:
        nonlocal left
        left = left[host.connection.send(STREAM, left) :]
        host.flush()
        back.extend(_read(program))
        return len(back) == len(data)

    host.serve(home, "all that the host says")
    assert back == data


def test_a_program_that_does_not_read_is_owed_no_more_than_a_window(
    host: Host, program: socket.socket
) -> None:
    total = 0

    def offer() -> bool:
        nonlocal total
        sent = host.connection.send(STREAM, bytes(1 << 20))
        total += sent
        host.flush()
        return total > WINDOW and not sent

    host.serve(offer, "the window to be used up")
    assert total < 64 * WINDOW  # what the kernel's own buffers take, and a window


def test_a_refusal_resets_the_connection(
    host: Host, program: socket.socket, done: list[str]
) -> None:
    host.connection.reset(STREAM, "refused")
    host.serve(lambda: done, "the relay to close")
    with pytest.raises(ConnectionResetError):
        program.recv(1)


def test_a_program_that_goes_abruptly_resets_the_stream(
    host: Host, program: socket.socket, done: list[str]
) -> None:
    program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    program.close()
    host.serve(lambda: STREAM in host.resets, "the stream to be reset")
    assert host.resets[STREAM] == "the connection was reset"
    assert done == ["done"]


def test_another_host_ends_what_went_on(
    host: Host, channel: Channel, program: socket.socket, done: list[str]
) -> None:
    channel.abandon("the machine was copied")
    assert done == ["done"]
    with pytest.raises(ConnectionResetError):
        program.recv(1)


def _read(program: socket.socket) -> bytes:
    try:
        return program.recv(1 << 20)
    except BlockingIOError:
        return b""


def _write(program: socket.socket, data: memoryview) -> int:
    try:
        return program.send(data) if data else 0
    except BlockingIOError:
        return 0
