from __future__ import annotations

import json
import math
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.wire.errors import ProtocolError
from stockade.wire.messages import MAX_DEPTH, MAX_NUMBER, MessageReader, encode_message

LIMIT = 1 << 20

texts = st.text(st.characters())  # surrogates included
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
messages = st.dictionaries(texts, values, max_size=5)


def prefixed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def nested(opening: str, inside: str, closing: str, depth: int) -> bytes:
    """Return a message with ``depth`` containers inside one another, itself included."""
    return ('{"k":' + opening * (depth - 1) + inside + closing * (depth - 1) + "}").encode()


def test_a_message_is_a_length_and_compact_json() -> None:
    assert encode_message({"é": [1, None]}) == b'\0\0\0\x13{"\\u00e9":[1,null]}'


@given(st.lists(messages, max_size=4), st.data())
def test_messages_survive_any_chunking(sent: list[dict[str, object]], data: st.DataObject) -> None:
    wire = b"".join(map(encode_message, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    reader = MessageReader(LIMIT)
    received: list[dict[str, object]] = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        received += reader.feed(wire[start:end])
    assert received == sent
    assert reader.buffered == 0


@given(st.binary())
def test_names_that_are_not_utf8_survive(name: bytes) -> None:
    wire = encode_message({"name": os.fsdecode(name)})
    assert wire[4:].isascii()
    (message,) = MessageReader(LIMIT).feed(wire)
    argument = message["name"]
    assert isinstance(argument, str)
    assert os.fsencode(argument) == name


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_not_sent(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_message({"n": number})
    with pytest.raises(TypeError):
        encode_message({"b": b"bytes"})


BAD = {
    "not json": b"{]",
    "trailing": b"{} {}",
    "array": b"[1]",
    "string": b'"text"',
    "number": b"17",
    "null": b"null",
    "not utf-8": b'{"a":"\xff"}',
    "utf-8 surrogate": b'{"a":"\xed\xa0\x80"}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a":1}',
    "control character": b'{"a":"\x00"}',
    "half an escape": b'{"a":"\\u12',
    "same key twice": b'{"a":1,"a":2}',
    "same key twice, inside": b'{"x":[{"a":1,"\\u0061":2}]}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":[Infinity]}',
    "-Infinity": b'{"a":-Infinity}',
    "overflow": b'{"a":1e999}',
    "underscore": b'{"a":1_0}',
    "long integer": b'{"a":' + b"9" * (MAX_NUMBER + 1) + b"}",
    "huge integer": b'{"a":-' + b"9" * 100_000 + b"}",
    "long float": b'{"a":0.' + b"9" * 100_000 + b"}",
    "arrays in arrays": nested("[", "", "]", MAX_DEPTH + 1),
    "objects in objects": nested('{"k":', "1", "}", MAX_DEPTH + 1),
    "arrays for ever": b'{"a":' + b"[" * 500_000,
    "objects for ever": b'{"a":' * 100_000,
    "closed bomb": nested("[", "", "]", 100_000),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_anything_but_a_plain_object_is_a_protocol_error(body: bytes) -> None:
    reader = MessageReader(LIMIT)
    with pytest.raises(ProtocolError) as error:
        reader.feed(prefixed(body))
    assert reader.buffered == 0
    with pytest.raises(ProtocolError) as again:
        reader.feed(encode_message({}))
    assert str(again.value) == str(error.value)


def test_integers_are_refused_even_where_python_has_no_limit_on_them() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(ProtocolError, match="1000000 digits"):
            MessageReader(2 * LIMIT).feed(prefixed(b'{"a":' + b"9" * 1_000_000 + b"}"))
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize(
    "body",
    [
        nested("[", "1", "]", MAX_DEPTH),
        nested('{"k":', "{}", "}", MAX_DEPTH - 1),
        nested("[", "[],[],1", "]", MAX_DEPTH - 1),
        json.dumps({"flat": [[]] * 1000 + [{}] * 1000, "text": "[" * 1000}).encode(),
        b'{"a":' + b"9" * MAX_NUMBER + b"}",
    ],
    ids=["arrays", "objects", "siblings", "wide", "number"],
)
def test_messages_at_the_limits_are_read(body: bytes) -> None:
    assert MessageReader(LIMIT).feed(prefixed(body)) == [json.loads(body)]


def test_the_length_alone_refuses_a_message() -> None:
    body = b'{"a":1}'
    assert MessageReader(len(body)).feed(prefixed(body)) == [{"a": 1}]
    with pytest.raises(ProtocolError, match="7 bytes, not 2 to 6"):
        MessageReader(len(body) - 1).feed(prefixed(body)[:4])
    with pytest.raises(ProtocolError, match="0 bytes"):
        MessageReader(LIMIT).feed(bytes(4))


def test_a_broken_off_message_shows() -> None:
    reader = MessageReader(LIMIT)
    assert reader.feed(encode_message({"a": 1})[:-1]) == []
    assert reader.buffered == 4 + 6


json_like = st.text('{}[]",:\\u0919aNe-. ').map(lambda text: prefixed(text.encode()))


@given(st.binary(max_size=100) | json_like)
def test_garbage_is_messages_or_a_protocol_error(garbage: bytes) -> None:
    reader = MessageReader(50)
    try:
        reader.feed(garbage)
    except ProtocolError:
        assert reader.buffered == 0
    assert reader.buffered < 4 + 50
