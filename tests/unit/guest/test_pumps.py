from __future__ import annotations

import os
import pty
import tty
from typing import TYPE_CHECKING

import pytest

from stockade.guest.channel import Channel
from stockade.guest.pumps import InputPump, OutputPump
from stockade.wire.connection import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.guest.conftest import Host

    from stockade.guest.loop import Loop


class _Nobody:
    """Holds a stream until a pump takes it over."""

    def data(self, stream: int, chunk: bytes | bytearray) -> None: ...
    def ended(self, stream: int) -> None: ...
    def reset(self, stream: int, reason: str) -> None: ...
    def writable(self, stream: int) -> None: ...


@pytest.fixture
def channel(loop: Loop, host: Host) -> Channel:
    return Channel(loop, host.port, lambda _stream, _payload: _Nobody())


@pytest.fixture
def stream(host: Host, channel: Channel) -> int:
    """An open stream with nothing said on it."""
    number = host.open()
    host.serve(lambda: number in channel.connection.streams, "the stream to be open")
    return number


@pytest.fixture
def done() -> list[str]:
    """Fills when an output pump has finished."""
    return []


@pytest.fixture
def output(loop: Loop, channel: Channel, stream: int, done: list[str]) -> Iterator[int]:
    """The end of a pipe that a process would write to, pumped to the host."""
    read_end, write_end = os.pipe()
    OutputPump(loop, channel, read_end, stream, lambda: done.append("done"))
    os.set_blocking(write_end, False)
    yield write_end
    os.close(write_end)


@pytest.fixture
def pumped(loop: Loop, channel: Channel, stream: int) -> Iterator[int]:
    """The end of a pipe that a process would read from, pumped from the host."""
    read_end, write_end = os.pipe()
    InputPump(loop, channel, write_end, stream, terminal=False)
    os.set_blocking(read_end, False)
    yield read_end
    os.close(read_end)


def _write_some(fd: int) -> int:
    try:
        return os.write(fd, bytes(1 << 16))
    except BlockingIOError:
        return 0


def _turn(host: Host, channel: Channel) -> None:
    """Let the guest hear all that the host has said so far."""
    last = host.open()
    host.serve(lambda: last in channel.connection.streams, "the last word to be heard")


def _reader(fd: int) -> tuple[bytearray, Callable[[], bool]]:
    """Read what is there at each call; true at the end of the file."""
    read = bytearray()

    def ended() -> bool:
        try:
            chunk = os.read(fd, 1 << 20)
        except BlockingIOError:
            return False
        read.extend(chunk)
        return not chunk

    return read, ended


def test_output_goes_to_the_host_to_its_last_byte(
    loop: Loop, host: Host, channel: Channel, stream: int, done: list[str]
) -> None:
    read_end, write_end = os.pipe()
    OutputPump(loop, channel, read_end, stream, lambda: done.append("done"))
    os.write(write_end, b"all of it")
    os.close(write_end)
    host.serve(lambda: stream in host.ended, "the end of the output")
    assert host.received[stream] == b"all of it"
    assert done == ["done"]


def test_output_waits_in_the_pipe_while_the_host_grants_nothing(
    host: Host, stream: int, output: int
) -> None:
    host.credits = False
    written = 0

    def pipe_is_full() -> bool:
        nonlocal written
        some = _write_some(output)
        written += some
        return not some and len(host.received[stream]) == WINDOW

    host.serve(pipe_is_full, "the process to be held up")
    assert written <= WINDOW + (1 << 17)
    host.connection.consumed(stream, WINDOW)
    host.serve(lambda: len(host.received[stream]) == written, "the rest, once there is credit")


def test_output_that_the_host_gives_up_breaks_the_pipe(
    host: Host, stream: int, output: int, done: list[str]
) -> None:
    host.connection.reset(stream, "output limit")
    host.serve(lambda: done, "the pump to end")
    with pytest.raises(BrokenPipeError):
        os.write(output, b"x")


def test_a_host_that_talks_to_an_output_is_not_listened_to(
    host: Host, channel: Channel, stream: int, output: int
) -> None:
    host.say(stream, b"x" * WINDOW, last=True)
    os.write(output, b"still here")
    host.serve(lambda: host.received[stream] == b"still here", "the output")
    assert channel.room(stream)


def test_a_terminal_closed_by_the_last_process_is_the_end(
    loop: Loop, host: Host, channel: Channel, stream: int, done: list[str]
) -> None:
    """Reading it is an error then (EIO), unlike the end of a pipe."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    OutputPump(loop, channel, master, stream, lambda: done.append("done"))
    os.write(slave, b"bye")
    host.serve(lambda: host.received[stream] == b"bye", "the last words")
    os.close(slave)
    host.serve(lambda: stream in host.ended, "the end of the output")
    assert done == ["done"]


def test_input_goes_to_the_process_and_ends_with_the_hosts(
    host: Host, stream: int, pumped: int
) -> None:
    host.say(stream, b"first ")
    host.say(stream, b"second", last=True)
    read, ended = _reader(pumped)
    host.serve(ended, "the end of the input")
    assert read == b"first second"


def test_input_is_credited_only_when_the_process_takes_it(
    host: Host, stream: int, pumped: int
) -> None:
    data = os.urandom(WINDOW)
    host.say(stream, data)
    taken, _ = _reader(pumped)
    # The pipe holds the first 64 KiB, half a window is credited at once: neither is reached.
    host.serve(lambda: not host.connection.output_size, "the input to be sent")
    assert host.connection.sendable(stream) == 0
    read, ended = _reader(pumped)
    host.serve(lambda: ended() or host.connection.sendable(stream), "credit for what was taken")
    assert host.connection.sendable(stream) <= len(read)
    host.connection.end(stream)
    host.serve(ended, "the end of the input")
    assert bytes(taken + read) == data


def test_the_host_hears_that_the_process_has_closed_its_input(
    loop: Loop, host: Host, channel: Channel, stream: int
) -> None:
    read_end, write_end = os.pipe()
    InputPump(loop, channel, write_end, stream, terminal=False)
    os.close(read_end)
    host.say(stream, b"nobody reads this")
    host.serve(lambda: stream in host.resets, "the host to hear of it")
    assert host.resets[stream] == "the command has closed its input"


def test_input_that_was_ended_needs_no_such_word(
    loop: Loop, host: Host, channel: Channel, stream: int
) -> None:
    read_end, write_end = os.pipe()
    InputPump(loop, channel, write_end, stream, terminal=False)
    host.say(stream, bytes(WINDOW), last=True)
    _turn(host, channel)
    os.close(read_end)
    _turn(host, channel)
    assert stream not in host.resets


def test_input_that_the_host_gives_up_ends(host: Host, stream: int, pumped: int) -> None:
    host.say(stream, b"some")
    host.connection.reset(stream, "no longer wanted")
    read, ended = _reader(pumped)
    host.serve(ended, "the end of the input")
    assert bytes(read) in {b"some", b""}


def test_input_after_the_process_is_gone_is_dropped(
    loop: Loop, host: Host, channel: Channel, stream: int
) -> None:
    read_end, write_end = os.pipe()
    pump = InputPump(loop, channel, write_end, stream, terminal=False)
    pump.close()
    pump.close()
    os.close(read_end)
    host.say(stream, b"too late", last=True)
    _turn(host, channel)


@pytest.mark.parametrize("text", [b"a line\n", b"no newline", b""])
def test_the_end_of_input_reaches_a_program_on_a_terminal(
    loop: Loop, host: Host, channel: Channel, stream: int, text: bytes
) -> None:
    """A terminal has no end of file, only a character that means it."""
    master, slave = pty.openpty()
    pump = InputPump(loop, channel, master, stream, terminal=True)
    os.set_blocking(slave, False)
    host.say(stream, text, last=True) if text else host.connection.end(stream)
    read, ended = _reader(slave)
    host.serve(ended, "the end of the input")
    assert read == text
    pump.close()
    os.close(slave)
