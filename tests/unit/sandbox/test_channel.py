from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.model.errors import MachineError, MachineKilledError
from stockade.sandbox.channel import Channel, Stream
from stockade.wire import events
from stockade.wire.connection import MAX_STREAMS, WINDOW
from stockade.wire.frames import MAX_PAYLOAD, Kind, encode_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.sandbox.conftest import Link

pytestmark = pytest.mark.anyio

_HELLO = encode_header(Kind.HELLO, 0, 10) + b"stockade\0\1"


async def _read_all(stream: Stream) -> None:
    """Take all that a stream still gives out, and then what ended the channel, if that did."""
    while await stream.receive():
        pass
    await stream.send(b"x")


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not holds():
            await anyio.lowlevel.checkpoint()


def _frame(kind: Kind, stream: int, payload: bytes = b"") -> bytes:
    return encode_header(kind, stream, len(payload)) + payload


async def test_bytes_go_both_ways(link: Link) -> None:
    await link.peer.flush()
    await link.channel.ready()
    stream = link.channel.open(b"data")
    await stream.send(b"there")
    assert await link.peer.event() == events.StreamOpened(stream.id, b"data")
    assert await link.peer.event() == events.DataReceived(stream.id, b"there")
    stream.end()
    assert await link.peer.event() == events.StreamEnded(stream.id)
    await link.peer.say(stream.id, b"and back", last=True)
    assert await stream.receive(3) == b"and"
    assert not stream.ended or await stream.receive(0) == b""
    assert await stream.receive() + await stream.receive() == b" back"
    assert stream.ended


async def test_more_than_the_window_goes_in_order_and_bounded(link: Link) -> None:
    data = os.urandom(3 * WINDOW + 5)
    stream = link.channel.open(b"data")
    came = bytearray()

    async def take() -> None:
        while len(came) < len(data):
            event = await link.peer.event()
            if isinstance(event, events.DataReceived):
                came.extend(event.data)
                link.peer.connection.consumed(stream.id, len(event.data))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await stream.send(data)
    assert came == data


async def test_a_reader_that_waits_hears_of_the_end(link: Link) -> None:
    stream = link.channel.open(b"data")
    await link.peer.event()
    async with anyio.create_task_group() as tasks:

        async def end() -> None:
            await anyio.lowlevel.checkpoint()
            link.peer.connection.end(stream.id)
            await link.peer.flush()

        tasks.start_soon(end)
        assert await stream.receive() == b""
    assert await stream.receive() == b""


async def test_a_stream_cut_off_is_an_error_for_both_directions(link: Link) -> None:
    stream = link.channel.open(b"data")
    await link.peer.event()
    link.peer.connection.reset(stream.id, "out of paper")
    await link.peer.flush()
    with pytest.raises(MachineError, match=r"the machine cut a stream off: out of paper$"):
        await stream.receive()
    with pytest.raises(BrokenPipeError):
        await stream.send(b"x")
    stream.end()
    stream.abandon("no longer wanted")


@pytest.mark.parametrize("reason", [b"\x1b]0;owned\x07\nroot# ", b"\xff\xfe", "\u202e".encode()])
async def test_the_machines_reason_is_made_printable(link: Link, reason: bytes) -> None:
    stream = link.channel.open(b"data")
    await link.peer.event()
    await link.peer.raw(_frame(Kind.RESET, stream.id, reason))
    with pytest.raises(MachineError) as error:
        await stream.receive()
    assert str(error.value).isprintable()


async def test_what_came_before_a_stream_was_cut_off_is_still_received(link: Link) -> None:
    stream = link.channel.open(b"data")
    await link.peer.event()
    await link.peer.say(stream.id, b"half of")
    link.peer.connection.reset(stream.id)
    await link.peer.flush()
    assert await stream.receive() == b"half of"
    with pytest.raises(MachineError, match="no reason given"):
        await stream.receive()


async def test_an_abandoned_stream_ends_its_reader_and_its_writer(link: Link) -> None:
    stream = link.channel.open(b"data")
    errors: list[Exception] = []

    async def read() -> None:
        try:
            await stream.receive()
        except MachineError as error:
            errors.append(error)

    async def write() -> None:
        try:
            await stream.send(bytes(WINDOW + 1))
        except BrokenPipeError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        stream.abandon("changed my mind")
    assert {type(error) for error in errors} == {MachineError, BrokenPipeError}


async def test_what_a_machine_opens_is_refused(link: Link) -> None:
    number = link.peer.connection.open(b"let me out")
    await link.peer.say(number, b"please")
    assert await link.peer.event() == events.StreamReset(number, "there is no network")


async def test_a_stream_that_the_machine_opens_has_its_visitor(link: Link) -> None:
    visits: list[tuple[Stream, bytes]] = []
    link.channel.visitor = lambda stream, opening: visits.append((stream, opening))
    number = link.peer.connection.open(b"connect")
    await link.peer.say(number, b"there", last=True)
    await _until(lambda: bool(visits))
    ((stream, opening),) = visits
    assert (stream.id, opening) == (number, b"connect")
    assert await stream.receive() == b"there"
    await stream.send(b"and back")
    stream.end()
    assert await link.peer.event() == events.DataReceived(number, b"and back")
    assert await link.peer.event() == events.StreamEnded(number)
    # The channel goes on.
    stream = link.channel.open(b"data")
    assert await link.peer.event() == events.StreamOpened(stream.id, b"data")


async def test_too_many_requests_at_once_are_one_clear_error_and_pass(link: Link) -> None:
    streams = [link.channel.open(b"data") for _ in range(MAX_STREAMS)]
    with pytest.raises(MachineError, match="too many requests at once: 1024 streams are live"):
        link.channel.open(b"data")
    # One freed is one that may be opened, once the machine knows of it.
    streams[0].abandon("done")
    while not isinstance(await link.peer.event(), events.StreamReset):
        pass
    await link.peer.flush()
    with anyio.fail_after(20):
        while True:
            await anyio.lowlevel.checkpoint()
            try:
                link.channel.open(b"data")
                break
            except MachineError:
                continue


async def test_streams_over_in_either_order_are_not_kept(link: Link) -> None:
    for host_first in (True, False):
        stream = link.channel.open(b"data")
        await link.peer.event()
        if host_first:
            stream.end()
            await link.peer.event()
        await link.peer.say(stream.id, b"bye", last=True)
        assert await stream.receive() == b"bye"
        assert await stream.receive() == b""
        stream.end()
    assert link.channel._streams == {}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        _HELLO + _HELLO,
        _HELLO[:-1] + b"\xff",
        _HELLO + _frame(Kind.END, 1) + _frame(Kind.DATA, 1, b"x"),
        _HELLO + _frame(Kind.DATA, 9, b"never opened"),
        _HELLO + _frame(Kind.CREDIT, 1, b"\xff\xff\xff\xff"),
        _HELLO + _frame(Kind.END, 1) * 2,
        _HELLO + b"\x07" + _frame(Kind.DATA, 1, b"x")[1:],
        _HELLO + b"\xff" * 8,
        _HELLO + bytes([Kind.DATA]) + b"\xff\xff\xff\0\0\0\1",
        _HELLO + _frame(Kind.DATA, 1, bytes(MAX_PAYLOAD)) * 5,
        _HELLO + b"".join(_frame(Kind.OPEN, 2 * number) for number in range(1, 2000)),
    ],
    ids=range(13),
)
async def test_a_broken_protocol_is_one_error_for_every_user(link: Link, garbage: bytes) -> None:
    stream = link.channel.open(b"data")
    waiting = link.channel.open(b"data")
    errors: list[MachineError] = []

    async def wait() -> None:
        with pytest.raises(MachineError) as caught:
            await waiting.receive()
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await link.peer.raw(garbage)
        with anyio.fail_after(20):
            await link.ended.wait()
    with pytest.raises(MachineError, match="the machine broke the protocol: ") as error:
        await _read_all(stream)
    with pytest.raises(MachineError, match="broke the protocol"):
        link.channel.open(b"data")
    with pytest.raises(MachineError, match="broke the protocol"):
        await link.channel.ready()
    assert str(errors[0]) == str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("said", [b"", _HELLO[:1], _HELLO[:-1], _HELLO, _HELLO + b"\3\0\0"])
async def test_a_machine_that_hangs_up_ends_every_wait(link: Link, said: bytes) -> None:
    stream = link.channel.open(b"data")
    await link.peer.raw(said)
    link.peer.socket.close()
    with pytest.raises(MachineError, match="the machine has ended"):
        await stream.receive()
    with pytest.raises(MachineError, match="the machine has ended"):
        await stream.send(b"x")
    with pytest.raises(MachineError, match="the machine has ended"):
        await link.channel.ready()


async def test_a_machine_that_does_not_read_holds_up_senders_but_not_readers(link: Link) -> None:
    await link.peer.flush()
    streams = [link.channel.open(b"data") for _ in range(12)]
    done: list[int] = []

    async def send(number: int) -> None:
        with pytest.raises(MachineError):
            await streams[number].send(bytes(WINDOW + 1))  # one more than there is credit for
        done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(send, number)
        await anyio.wait_all_tasks_blocked()
        assert done == []
        assert link.channel._connection.output_size < 2 * (1 << 20)
        # It has not read a byte, and yet what it says is heard.
        await link.peer.raw(_frame(Kind.DATA, streams[0].id, b"hello"))
        assert await streams[0].receive() == b"hello"
        link.channel.fail(MachineError("the machine is closed"))
    assert sorted(done) == list(range(12))


async def test_a_machine_that_writes_one_byte_at_a_time_is_understood(link: Link) -> None:
    stream = link.channel.open(b"data")
    for byte in _HELLO + _frame(Kind.DATA, stream.id, b"slow") + _frame(Kind.END, stream.id):
        await link.peer.raw(bytes([byte]))
        await anyio.lowlevel.checkpoint()
    assert await stream.receive() + await stream.receive() + await stream.receive() == b"slow"


async def test_the_first_failure_counts_and_keeps_its_kind_and_hint(link: Link) -> None:
    link.channel.fail(MachineKilledError("ended by stockade kill", hint="Start another."))
    link.channel.fail(MachineError("something else"))
    for _ in range(2):
        with pytest.raises(MachineKilledError, match="ended by stockade kill") as error:
            link.channel.open(b"data")
        assert error.value.hint == "Start another."


# A machine that is a copy: what it says first is for somebody else.

_NONCE = bytes(range(32))


def _copied(stale: bytes, chunks: list[int]) -> bytes:
    """Have a copy say ``stale`` before its nonce, in pieces; return what comes by a stream."""

    async def session() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs, anyio.fail_after(20):
            theirs.setblocking(False)
            channel = Channel(ours, after=_NONCE)
            stream = channel.open(b"data")
            said = stale + _NONCE + _HELLO + _frame(Kind.DATA, stream.id, b"ours")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(channel.run)
                place = 0
                while place < len(said):
                    size = chunks.pop() if chunks else len(said)
                    await anyio.wait_writable(theirs)
                    with contextlib.suppress(BlockingIOError):
                        place += theirs.send(said[place : place + size])
                    await anyio.lowlevel.checkpoint()
                await channel.ready()
                found = await stream.receive()
                tasks.cancel_scope.cancel()
            return found

    return anyio.run(session)


@given(
    stale=st.one_of(
        st.binary(max_size=200),
        st.lists(st.integers(0, 31), max_size=9).map(
            lambda cuts: b"".join(_NONCE[:cut] for cut in cuts)
        ),
        st.just(_HELLO + _frame(Kind.DATA, 1, b"theirs")),
    ),
    chunks=st.lists(st.integers(1, 40), max_size=30),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_a_copy_says_before_its_nonce_is_passed_over(stale: bytes, chunks: list[int]) -> None:
    assert _copied(stale, chunks) == b"ours"


async def test_much_may_be_passed_over_but_not_without_end() -> None:
    assert await to_thread.run_sync(_copied, bytes(1 << 20), []) == b"ours"
    ours, theirs = socket.socketpair()
    with ours, theirs, anyio.fail_after(60):
        theirs.setblocking(False)
        channel = Channel(ours, after=_NONCE)
        said = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.run)
            # Many times what it may say; it is cut off long before.
            while said < 64 << 20 and channel._failure is None:
                with contextlib.suppress(BlockingIOError):
                    said += theirs.send(bytes(1 << 16))
                await anyio.lowlevel.checkpoint()
        with pytest.raises(MachineError, match=r"broke the protocol: .*not for us"):
            await channel.ready()
    assert said < 32 << 20


async def test_nothing_is_said_to_a_copy_before_it_knows_whose_it_is() -> None:
    """It drops what lies in its port when it is adopted: that was for somebody else."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        channel = Channel(ours, after=_NONCE)
        channel.open(b"data")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.run)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BlockingIOError):
                theirs.recv(1)
            theirs.send(b"stale" + _NONCE + _HELLO)
            await channel.ready()
            await anyio.wait_readable(theirs)
            assert theirs.recv(1 << 16).startswith(_HELLO)
            tasks.cancel_scope.cancel()


_NOISE = st.lists(
    st.one_of(
        st.binary(max_size=64),
        st.builds(
            _frame,
            st.sampled_from(Kind),
            st.integers(0, 6),
            st.sampled_from([b"", b"x", b"\0\0\0\1", b"\xff" * 4, b"stockade\0\1"]),
        ),
    ),
    max_size=20,
).map(b"".join)


@given(noise=_NOISE, greeted=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_end_in_data_or_in_one_machine_error(noise: bytes, greeted: bool) -> None:
    async def session() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, anyio.fail_after(20):
            channel = Channel(ours)
            streams = [channel.open(b"data") for _ in range(2)]
            theirs.sendall((_HELLO if greeted else b"") + noise)
            theirs.shutdown(socket.SHUT_WR)
            await channel.run()
            channel.fail(MachineError("the machine has ended"))
            for stream in streams:
                with pytest.raises(MachineError) as error:
                    await _read_all(stream)
                assert str(error.value).isprintable()

    anyio.run(session)
