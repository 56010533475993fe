from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.wire.errors import ProtocolError
from stockade.wire.frames import (
    HEADER_SIZE,
    MAGIC,
    MAX_OPEN_PAYLOAD,
    MAX_PAYLOAD,
    MAX_REASON,
    Frame,
    FrameDecoder,
    Kind,
    encode_header,
    encode_reason,
)

streams = st.integers(1, 0xFFFF_FFFF)


def encode(frame: Frame) -> bytes:
    kind, stream, payload = frame
    return encode_header(kind, stream, len(payload)) + payload


def raw_header(kind: int, length: int, stream: int) -> bytes:
    return bytes([kind]) + length.to_bytes(3, "big") + stream.to_bytes(4, "big")


def frames() -> st.SearchStrategy[Frame]:
    def of(kind: Kind, payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[Frame]:
        return st.tuples(st.just(kind), streams, payloads)

    large = st.sampled_from([1000, MAX_PAYLOAD - 1, MAX_PAYLOAD]).map(lambda size: b"L" * size)
    return st.one_of(
        st.tuples(
            st.just(Kind.HELLO), st.just(0), st.binary(min_size=2, max_size=2).map(MAGIC.__add__)
        ),
        of(Kind.OPEN, st.binary(max_size=50) | st.just(b"o" * MAX_OPEN_PAYLOAD)),
        of(Kind.DATA, st.binary(min_size=1, max_size=50) | large),
        of(Kind.CREDIT, st.integers(1, 0xFFFF_FFFF).map(lambda n: n.to_bytes(4, "big"))),
        of(Kind.END, st.just(b"")),
        of(Kind.RESET, st.binary(max_size=MAX_REASON)),
    )


def almost_frames() -> st.SearchStrategy[bytes]:
    """Bytes that often pass the first checks, which plain random bytes never do."""
    headers = st.builds(
        raw_header,
        st.integers(0, 8),
        st.sampled_from([0, 1, 4, 10, 256, 257, 4096, MAX_PAYLOAD, MAX_PAYLOAD + 1, 0xFF_FFFF]),
        st.integers(0, 4),
    )
    return st.lists(headers | st.binary(max_size=20) | frames().map(encode)).map(b"".join)


def test_the_header_is_kind_length_stream() -> None:
    assert encode_header(Kind.DATA, 0x01020304, 0xABCD) == bytes.fromhex("03 00abcd 01020304")


@pytest.mark.parametrize(("stream", "length"), [(1, MAX_PAYLOAD + 1), (1, -1), (1 << 32, 0)])
def test_no_header_is_made_that_a_peer_must_refuse(stream: int, length: int) -> None:
    with pytest.raises(ValueError, match="no header"):
        encode_header(Kind.DATA, stream, length)


@given(st.lists(frames(), max_size=6), st.data())
def test_any_chunking_decodes_alike(sent: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    decoder = FrameDecoder()
    received: list[Frame] = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        received += decoder.feed(wire[start:end])
        assert decoder.buffered < HEADER_SIZE + MAX_PAYLOAD
    assert received == sent
    assert decoder.buffered == 0


@given(st.lists(frames(), max_size=3))
def test_single_bytes_decode_alike(sent: list[Frame]) -> None:
    decoder = FrameDecoder()
    wire = b"".join(encode(frame) for frame in sent if len(frame[2]) < 1000)
    received = [frame for byte in wire for frame in decoder.feed(bytes([byte]))]
    assert received == [frame for frame in sent if len(frame[2]) < 1000]


@given(st.binary(max_size=200) | almost_frames(), st.integers(1, 64))
def test_garbage_is_frames_or_a_protocol_error(garbage: bytes, size: int) -> None:
    decoder = FrameDecoder()
    failure = ""
    try:
        for start in range(0, len(garbage), size):
            decoder.feed(garbage[start : start + size])
            assert decoder.buffered < HEADER_SIZE + MAX_PAYLOAD
    except ProtocolError as error:
        failure = str(error)
    if failure:
        assert decoder.buffered == 0
        with pytest.raises(ProtocolError) as again:
            decoder.feed(b"")
        assert str(again.value) == failure


@pytest.mark.parametrize(
    ("kind", "length", "stream"),
    [
        (0, 0, 1),
        (7, 0, 1),
        (255, 0, 1),
        (Kind.HELLO, 9, 0),
        (Kind.HELLO, 11, 0),
        (Kind.HELLO, 10, 1),
        (Kind.OPEN, 0, 0),
        (Kind.OPEN, MAX_OPEN_PAYLOAD + 1, 1),
        (Kind.DATA, 0, 1),
        (Kind.DATA, 1, 0),
        (Kind.DATA, MAX_PAYLOAD + 1, 1),
        (Kind.DATA, 0xFF_FFFF, 1),
        (Kind.CREDIT, 3, 1),
        (Kind.CREDIT, 5, 1),
        (Kind.CREDIT, 4, 0),
        (Kind.END, 1, 1),
        (Kind.END, 0, 0),
        (Kind.RESET, MAX_REASON + 1, 1),
        (Kind.RESET, 0, 0),
    ],
)
@pytest.mark.parametrize("split", [0, 1, 7])
def test_an_illegal_header_is_refused_before_its_payload(
    kind: int, length: int, stream: int, split: int
) -> None:
    header = raw_header(kind, length, stream)
    decoder = FrameDecoder()
    assert decoder.feed(header[:split]) == []
    with pytest.raises(ProtocolError):
        decoder.feed(header[split:])
    with pytest.raises(ProtocolError):
        decoder.feed(encode((Kind.END, 1, b"")))


@pytest.mark.parametrize(
    "frame", [(Kind.CREDIT, 1, bytes(4)), (Kind.HELLO, 0, b"stockage\0\1")], ids=["credit", "hello"]
)
@pytest.mark.parametrize("split", [0, 10])
def test_an_illegal_payload_is_refused(frame: Frame, split: int) -> None:
    wire = encode(frame)
    decoder = FrameDecoder()
    assert decoder.feed(wire[:split]) == []
    with pytest.raises(ProtocolError):
        decoder.feed(wire[split:])


@pytest.mark.parametrize("split", [3, 8, 500])
def test_the_callers_buffer_is_neither_kept_nor_locked(split: int) -> None:
    buffer = bytearray(encode((Kind.DATA, 1, b"d" * 1000)))
    decoder = FrameDecoder()
    assert decoder.feed(memoryview(buffer)[:split]) == []
    ((_, _, payload),) = decoder.feed(memoryview(buffer)[split:])
    buffer.clear()  # raises BufferError if a view of it is left
    assert payload == b"d" * 1000
    if isinstance(payload, bytearray):
        payload.clear()


def test_a_reason_is_cut_between_characters() -> None:
    assert encode_reason("no") == b"no"
    assert encode_reason("é" * 200) == "é".encode() * 128
    assert encode_reason("x" + "é" * 200) == b"x" + "é".encode() * 127
    assert encode_reason("\udc80") == b"?"
