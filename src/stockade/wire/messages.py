r"""JSON messages on a stream: u32 length, big-endian, then that many bytes of compact JSON.

A message is one JSON object. File names and arguments are arbitrary bytes on Linux; carry them as
``os.fsdecode`` gives them, where a byte that is not UTF-8 becomes a lone surrogate. Those survive
because the text on the wire is ASCII with ``\u`` escapes; ``os.fsencode`` restores the bytes. A
consumer that wants printable text must be ready for them.

The only module of this package that imports ``json``: what moves data need not pay for it.
"""

from __future__ import annotations

import json

from .errors import ProtocolError

TYPE_CHECKING = False  # as in typing, which costs the guest more to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 64
"""Most objects and arrays inside one another, the message itself included. The parser alone would
allow about a thousand, depending on the stack, and leave the crash to whoever walks the result."""

MAX_NUMBER = 64
"""Most characters of a number: converting long ones takes quadratic time. 64-bit integers and
every ``repr`` of a float need at most 24."""

_PREFIX = 4  # bytes of the length
_INFINITE = (float("inf"), float("-inf"))


def encode_message(message: Mapping[str, object]) -> bytes:
    """Return the message with its length in front.

    Raises ``TypeError`` or ``ValueError`` for what JSON cannot hold, NaN included. The limits on
    depth, numbers and length are the reader's alone.
    """
    body = json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return len(body).to_bytes(_PREFIX, "big") + body.encode("ascii")


class MessageReader:
    """Bytes in, messages out, whatever the chunks they arrive in.

    ``limit`` is the most bytes of one JSON text; a longer one is refused by its length alone.
    Parsed objects take up to about 40 times the memory of their text. The first violation is
    final: every later :meth:`feed` raises it again.
    """

    __slots__ = ("_buffer", "_failure", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._failure = ""

    @property
    def buffered(self) -> int:
        """Bytes held of an unfinished message; less than 4 + ``limit``.

        Not 0 when the stream ends: the peer broke off in the middle of one.
        """
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> list[dict[str, object]]:
        """Return the messages that ``data`` completes.

        Raises ``ProtocolError`` for anything but a JSON object of valid UTF-8, with unique keys
        and finite numbers, within the limits; good messages before it in ``data`` are lost.
        """
        if self._failure:
            raise ProtocolError(self._failure)
        self._buffer += data
        try:
            return self._decode()
        except ProtocolError as error:
            self._failure = str(error)
            self._buffer = bytearray()
            raise

    def _decode(self) -> list[dict[str, object]]:
        messages: list[dict[str, object]] = []
        buffer = self._buffer
        start = 0
        while len(buffer) - start >= _PREFIX:
            length = int.from_bytes(buffer[start : start + _PREFIX], "big")
            if not 2 <= length <= self._limit:
                raise ProtocolError(f"message of {length} bytes, not 2 to {self._limit}")
            end = start + _PREFIX + length
            if len(buffer) < end:
                break
            messages.append(_parse(buffer[start + _PREFIX : end]))
            start = end
        del buffer[:start]
        return messages


def _parse(body: bytearray) -> dict[str, object]:
    try:
        message = json.loads(
            body.decode("utf-8"),  # given bytes, json would guess at UTF-16 and UTF-32 as well
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except RecursionError:
        raise ProtocolError("message is nested too deep") from None
    except ValueError as error:  # json's own, and that of invalid UTF-8
        raise ProtocolError(f"message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError(f"message is a JSON {type(message).__name__}, not an object")
    # Few brackets cannot nest deep; counting them is much cheaper than walking the message.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(message, MAX_DEPTH):
        raise ProtocolError(f"message is nested deeper than {MAX_DEPTH}")
    return message


def _deeper_than(value: object, depth: int) -> bool:
    """Look level by level: recursion is what the depth limit is there to prevent."""
    level = [value]
    for _ in range(depth + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        if not containers:
            return False
        level = [
            child
            for item in containers
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return True


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ProtocolError(f"message has the key {key!a:.80} twice")
            seen.add(key)
    return result


def _constant(name: str) -> object:
    raise ProtocolError(f"message has the number {name}")


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER:
        raise ProtocolError(f"message has a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    if len(text) > MAX_NUMBER:
        raise ProtocolError(f"message has a number of {len(text)} characters")
    number = float(text)
    if number in _INFINITE:
        raise ProtocolError(f"message has the number {text}, too large for a float")
    return number
