from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.wire.connection import MAX_CONTROL_BACKLOG, WINDOW, Connection, Role
from stockade.wire.errors import ProtocolError, StreamClosedError, StreamLimitError
from stockade.wire.events import (
    DataReceived,
    PeerReady,
    StreamEnded,
    StreamOpened,
    StreamReset,
    StreamWritable,
)
from stockade.wire.frames import (
    HEADER_SIZE,
    MAX_PAYLOAD,
    VERSION,
    Frame,
    FrameDecoder,
    Kind,
    encode_header,
)

HELLO = bytes.fromhex("01 00000a 00000000") + b"stockade" + VERSION.to_bytes(2, "big")


def frame(kind: Kind, stream: int, payload: bytes = b"") -> bytes:
    return encode_header(kind, stream, len(payload)) + payload


def credit(stream: int, amount: int) -> bytes:
    return frame(Kind.CREDIT, stream, amount.to_bytes(4, "big"))


def ready(role: Role = Role.HOST, max_streams: int = 1024) -> Connection:
    """Return a connection past the exchange of HELLOs."""
    connection = Connection(role, max_streams=max_streams)
    connection.start()
    connection.take_output()
    assert connection.receive(HELLO) == [PeerReady(VERSION)]
    return connection


def sent(connection: Connection) -> list[Frame]:
    return FrameDecoder().feed(b"".join(connection.take_output()))


def fill(stream: int) -> bytes:
    """Return DATA frames that use up the credit of a stream."""
    return frame(Kind.DATA, stream, bytes(MAX_PAYLOAD)) * (WINDOW // MAX_PAYLOAD)


def refuses(connection: Connection, data: bytes, match: str) -> None:
    with pytest.raises(ProtocolError, match=match):
        connection.receive(data)
    with pytest.raises(ProtocolError, match=match):
        connection.receive(b"")


# The first frames.


def test_hello_comes_first() -> None:
    connection = Connection(Role.GUEST)
    with pytest.raises(ValueError, match="not started"):
        connection.open()
    with pytest.raises(ValueError, match="not started"):
        connection.receive(b"")
    connection.start()
    assert b"".join(connection.take_output()) == HELLO
    with pytest.raises(ValueError, match="before"):
        connection.start()


@pytest.mark.parametrize(
    ("first", "match"),
    [
        (frame(Kind.OPEN, 1), "OPEN before HELLO"),
        (frame(Kind.END, 1), "END before HELLO"),
        (HELLO[:-2] + b"\0\2", "version 2, not 1"),
        (HELLO[:-2] + b"\0\0", "version 0, not 1"),
        (HELLO + HELLO, "second HELLO"),
        (b"SSH-2.0-", "kind 83"),
    ],
)
def test_anything_else_first_is_refused(first: bytes, match: str) -> None:
    connection = Connection(Role.GUEST)
    connection.start()
    refuses(connection, first, match)


# Opening.


def test_the_host_opens_odd_ids_and_the_guest_even_ones() -> None:
    for role, ids in ((Role.HOST, [1, 3, 5]), (Role.GUEST, [2, 4, 6])):
        connection = ready(role)
        assert [connection.open(b"exec") for _ in ids] == ids
        assert sent(connection) == [(Kind.OPEN, stream, b"exec") for stream in ids]
        assert connection.streams == ids


@pytest.mark.parametrize("stream", [1, 3, 4, 0xFFFF_FFFE])
def test_a_peer_opens_its_own_ids_in_order(stream: int) -> None:
    refuses(ready(Role.HOST), frame(Kind.OPEN, stream), f"OPEN of {stream}, not 2")


def test_an_id_is_opened_once() -> None:
    for ending in (b"", frame(Kind.END, 2)):
        connection = ready()
        assert connection.receive(frame(Kind.OPEN, 2, b"x")) == [StreamOpened(2, b"x")]
        connection.end(2)
        connection.receive(ending)
        refuses(connection, frame(Kind.OPEN, 2), "OPEN")


def test_a_peer_may_have_so_many_streams_and_no_more() -> None:
    connection = ready(max_streams=2)
    connection.receive(frame(Kind.OPEN, 2) + frame(Kind.OPEN, 4))
    connection.end(2)
    connection.take_output()
    connection.receive(frame(Kind.END, 2) + frame(Kind.OPEN, 6))
    refuses(connection, frame(Kind.OPEN, 8), "OPEN of 8: 2 streams are live")


def test_a_stream_counts_until_its_end_has_left() -> None:
    connection = ready(max_streams=1)
    connection.receive(frame(Kind.OPEN, 2))
    connection.end(2)
    assert connection.receive(frame(Kind.END, 2)) == [StreamEnded(2)]
    assert connection.streams == []
    refuses(connection, frame(Kind.OPEN, 4), "1 streams are live")


def test_we_open_as_many_streams_ourselves() -> None:
    connection = ready(max_streams=1)
    connection.open()
    with pytest.raises(StreamLimitError):
        connection.open()
    connection.end(1)
    connection.take_output()
    connection.receive(frame(Kind.END, 1))
    assert connection.open() == 3


def test_an_open_payload_is_bounded() -> None:
    with pytest.raises(ValueError, match="4097 bytes"):
        ready().open(bytes(4097))


# Data and credit.


def test_send_takes_what_credit_allows() -> None:
    connection = ready()
    stream = connection.open()
    assert connection.sendable(stream) == WINDOW
    assert connection.send(stream, b"") == 0
    assert connection.send(stream, bytes(WINDOW + 1)) == WINDOW
    assert connection.sendable(stream) == 0
    assert connection.send(stream, b"more") == 0
    frames = sent(connection)[1:]
    assert [(kind, len(payload)) for kind, _, payload in frames] == [(Kind.DATA, MAX_PAYLOAD)] * 4


def test_a_stream_is_writable_again_only_after_it_stalled() -> None:
    connection = ready()
    stream = connection.open()
    connection.send(stream, bytes(WINDOW))
    connection.take_output()
    assert connection.receive(credit(stream, 10)) == [StreamWritable(stream)]
    assert connection.receive(credit(stream, 10)) == []
    assert connection.sendable(stream) == 20


def test_a_stream_we_ended_is_never_writable() -> None:
    connection = ready()
    stream = connection.open()
    connection.send(stream, bytes(WINDOW))
    connection.end(stream)
    connection.take_output()
    assert connection.receive(credit(stream, 10)) == []
    assert connection.sendable(stream) == 0


def test_credit_beyond_the_window_is_refused() -> None:
    connection = ready()
    stream = connection.open()
    connection.send(stream, bytes(10))
    connection.take_output()
    connection.receive(credit(stream, 10))
    refuses(connection, credit(stream, 1), "CREDIT of 1 bytes on stream 1, when 0 were outstanding")


def test_credit_for_bytes_that_never_left_is_refused() -> None:
    connection = ready()
    stream = connection.open()
    connection.send(stream, bytes(10))
    connection.take_output()
    connection.send(stream, bytes(20))
    refuses(connection, credit(stream, 11), "CREDIT of 11 bytes on stream 1, when 10 were")


def test_data_beyond_credit_is_refused() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + fill(2))
    refuses(connection, frame(Kind.DATA, 2, b"x"), "DATA of 1 bytes on stream 2, which has 0 bytes")


def test_credit_returns_in_halves_of_the_window() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + fill(2))
    connection.consumed(2, WINDOW // 2 - 1)
    assert sent(connection) == []
    connection.consumed(2, 1)
    assert sent(connection) == [(Kind.CREDIT, 2, (WINDOW // 2).to_bytes(4, "big"))]
    connection.consumed(2, WINDOW // 2)
    assert sent(connection) == [(Kind.CREDIT, 2, (WINDOW // 2).to_bytes(4, "big"))]
    assert len(connection.receive(fill(2))) == 4


def test_no_credit_returns_once_the_peer_ended() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + fill(2) + frame(Kind.END, 2))
    connection.consumed(2, WINDOW)
    assert sent(connection) == []


@pytest.mark.parametrize("size", [4, -1])
def test_only_received_bytes_can_be_consumed(size: int) -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + frame(Kind.DATA, 2, b"abc"))
    with pytest.raises(ValueError, match="bytes consumed of 3 on stream 2"):
        connection.consumed(2, size)


def test_replies_to_a_peer_that_never_reads_are_bounded() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2))
    half = fill(2)[: (HEADER_SIZE + MAX_PAYLOAD) * 2]

    def flood() -> None:
        for _ in range(MAX_CONTROL_BACKLOG):
            connection.receive(half)
            connection.consumed(2, WINDOW // 2)

    with pytest.raises(ProtocolError, match="bytes of replies wait"):
        flood()
    assert connection.output_size <= MAX_CONTROL_BACKLOG + 12


def test_output_to_a_peer_that_never_reads_is_bounded() -> None:
    """Ending streams early or crediting unread bytes buys a peer no more of our memory."""
    connection = ready(max_streams=8)

    def flood() -> None:
        for stream in range(2, 1000, 2):
            connection.receive(frame(Kind.OPEN, stream))
            connection.send(stream, bytes(WINDOW))
            connection.end(stream)
            connection.receive(frame(Kind.RESET, stream))

    with pytest.raises(ProtocolError, match="8 streams are live"):
        flood()
    assert connection.output_size < 8 * (WINDOW + 1000)


# Ending and resetting.


def test_each_direction_ends_alone() -> None:
    connection = ready()
    stream = connection.open()
    connection.end(stream)
    assert connection.receive(frame(Kind.DATA, stream, b"late")) == [DataReceived(stream, b"late")]
    assert connection.streams == [stream]
    assert connection.receive(frame(Kind.END, stream)) == [StreamEnded(stream)]
    assert connection.streams == []


def test_we_may_send_after_the_peer_ended() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + frame(Kind.END, 2))
    assert connection.send(2, b"reply") == 5
    connection.end(2)
    assert sent(connection) == [(Kind.DATA, 2, b"reply"), (Kind.END, 2, b"")]
    assert connection.streams == []


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.END])
def test_nothing_but_credit_or_reset_follows_end(kind: Kind) -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + frame(Kind.END, 2))
    refuses(connection, frame(kind, 2, b"x" if kind is Kind.DATA else b""), "END")


def test_a_reset_is_answered_and_the_id_is_gone() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2))
    reason = "gone \N{SKULL}"
    assert connection.receive(frame(Kind.RESET, 2, reason.encode())) == [StreamReset(2, reason)]
    assert sent(connection) == [(Kind.RESET, 2, b"")]
    assert connection.streams == []


def test_a_reset_reason_may_be_any_bytes() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2))
    assert connection.receive(frame(Kind.RESET, 2, b"\xff!")) == [StreamReset(2, "\ufffd!")]


def test_a_reset_is_not_answered_after_our_end() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2))
    connection.end(2)
    connection.take_output()
    assert connection.receive(frame(Kind.RESET, 2)) == [StreamReset(2, "")]
    assert sent(connection) == []
    assert connection.streams == []


@pytest.mark.parametrize("last", [Kind.RESET, Kind.END])
def test_after_our_reset_the_stream_drains_in_silence(last: Kind) -> None:
    connection = ready()
    stream = connection.open()
    connection.send(stream, b"x")
    connection.take_output()
    connection.reset(stream, "changed my mind")
    connection.reset(stream, "again")
    assert sent(connection) == [(Kind.RESET, stream, b"changed my mind")]
    assert connection.receive(fill(stream)) == []
    assert connection.receive(credit(stream, 1)) == []
    assert connection.streams == [stream]
    assert connection.receive(frame(last, stream)) == []
    assert connection.streams == []
    assert connection.output_size == 0


def test_a_draining_stream_is_still_checked() -> None:
    for data in (fill(1) + frame(Kind.DATA, 1, b"x"), credit(1, 1)):
        connection = ready()
        connection.open()
        connection.reset(1)
        refuses(connection, data, "on stream 1")


def test_a_draining_stream_grants_nothing() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + fill(2)[: -(HEADER_SIZE + MAX_PAYLOAD)])
    connection.reset(2)
    connection.take_output()
    connection.consumed(2, WINDOW - MAX_PAYLOAD)
    connection.receive(frame(Kind.DATA, 2, b"discarded"))
    with pytest.raises(ValueError, match="1 bytes consumed of 0"):
        connection.consumed(2, 1)
    assert sent(connection) == []


def test_a_reset_after_the_peers_end_is_final_at_once() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + frame(Kind.END, 2))
    connection.reset(2)
    assert connection.streams == []


@pytest.mark.parametrize("late", [credit(1, 5), frame(Kind.RESET, 1, b"late")])
def test_credit_and_reset_may_come_late(late: bytes) -> None:
    connection = ready()
    connection.open()
    connection.end(1)
    connection.take_output()
    connection.receive(frame(Kind.END, 1))
    assert connection.receive(late) == []
    assert connection.output_size == 0


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.END, Kind.OPEN])
def test_nothing_else_names_an_id_that_is_gone(kind: Kind) -> None:
    connection = ready()
    connection.open()
    connection.end(1)
    connection.receive(frame(Kind.END, 1))
    refuses(connection, frame(kind, 1, b"x" if kind is Kind.DATA else b""), kind.name)


@pytest.mark.parametrize("stream", [1, 2, 3, 0xFFFF_FFFF])
@pytest.mark.parametrize("kind", [Kind.DATA, Kind.CREDIT, Kind.END, Kind.RESET])
def test_nothing_names_an_id_that_never_was(kind: Kind, stream: int) -> None:
    payload = {Kind.DATA: b"x", Kind.CREDIT: b"\0\0\0\1"}.get(kind, b"")
    refuses(ready(), frame(kind, stream, payload), f"{kind.name} on stream {stream}, which is not")


def test_a_call_on_a_stream_that_is_gone_is_no_bug() -> None:
    connection = ready()
    connection.receive(frame(Kind.OPEN, 2) + frame(Kind.DATA, 2, b"abc") + frame(Kind.RESET, 2))
    connection.take_output()
    connection.consumed(2, 3)
    connection.reset(2)
    assert connection.sendable(2) == 0
    with pytest.raises(StreamClosedError):
        connection.send(2, b"x")
    with pytest.raises(StreamClosedError):
        connection.end(2)
    assert connection.output_size == 0


def test_a_call_on_a_stream_that_never_was_is_a_bug() -> None:
    connection = ready()
    for call in (connection.sendable, connection.end, connection.reset):
        with pytest.raises(ValueError, match="never opened"):
            call(1)
    with pytest.raises(ValueError, match="never opened"):
        connection.consumed(2, 0)
    with pytest.raises(ValueError, match="never opened"):
        connection.send(0, b"x")


# Garbage.


plausible = st.lists(
    st.builds(
        frame,
        st.sampled_from(Kind),
        st.integers(0, 6),
        st.sampled_from([b"", b"x", b"\0\0\0\1", b"\0\4\0\0", HELLO[8:]]) | st.binary(max_size=30),
    ),
    max_size=30,
).map(b"".join)


@given(st.binary(max_size=200) | plausible, st.booleans())
def test_garbage_is_events_or_a_protocol_error(garbage: bytes, hello: bool) -> None:
    connection = ready() if hello else Connection(Role.HOST)
    if not hello:
        connection.start()
    for _ in range(2):
        connection.open()
    failure = ""
    try:
        for start in range(0, len(garbage), 50):
            connection.receive(garbage[start : start + 50])
            assert connection.buffered < HEADER_SIZE + MAX_PAYLOAD
    except ProtocolError as error:
        failure = str(error)
    if failure:
        refuses(connection, b"", re.escape(failure))
