"""A hostile guest, by mutation: valid transcripts, damaged, against the host's end of the wire.

Random bytes die at the first header. What a guest really says, with a bit flipped, a length
edited or two conversations spliced, gets as deep as an attacker would. Whatever comes, the host
sees events or a ``ProtocolError``, and its memory stays bounded. Seeded: a failure repeats.
"""

from __future__ import annotations

import re
import resource
from random import Random

from stockade.wire.connection import MAX_CONTROL_BACKLOG, WINDOW, Connection, Role
from stockade.wire.errors import ProtocolError, StreamClosedError
from stockade.wire.events import DataReceived, Event, StreamEnded, StreamOpened, StreamReset
from stockade.wire.frames import HEADER_SIZE, MAX_PAYLOAD, Kind, encode_header
from stockade.wire.messages import MessageReader, encode_message

SEED = 20_261_101
CONVERSATIONS = 170_000
MESSAGES = 50_000  # together over 200,000
MESSAGE_LIMIT = 4096
MAX_GROWTH_KIB = 64 * 1024

SAMPLE_MESSAGES = (
    {"kind": "exec", "argv": ["python3", "-c", "print(1)"], "env": {"LANG": "C.UTF-8"}},
    {"kind": "exit", "code": 0, "usage": {"seconds": 0.25, "memory": 18_874_368}},
    {"kind": "file", "name": "caf\udce9", "mode": 0o644, "link": None, "executable": False},
    {"list": [[[], {}], [{"a": [1, -2, 3.5e-7]}]], "": ""},
)


def transcript(rng: Random) -> list[bytes]:
    """Return, frame by frame, what an honest guest says to a host that opened streams 1 and 3."""
    guest = Connection(Role.GUEST)
    guest.start()
    host = Connection(Role.HOST)
    host.start()
    host.open(b"exec")
    host.open(b"file")
    host.send(1, bytes(WINDOW // 2))
    guest.receive(b"".join(host.take_output()))
    guest.consumed(1, WINDOW // 2)
    live = [1, 3]
    for _ in range(rng.randint(3, 10)):
        stream = rng.choice(live)
        match rng.randrange(8):
            case 0:
                live.append(guest.open(rng.randbytes(rng.randint(0, 12))))
            case 1 if len(live) > 1:
                guest.end(stream)
                live.remove(stream)
            case 2 if len(live) > 1:
                guest.reset(stream, "no such file")
                live.remove(stream)
            case 3:
                guest.send(stream, rng.randbytes(rng.randint(1, 40)))
            case _:
                guest.send(stream, encode_message(rng.choice(SAMPLE_MESSAGES)))
    wire = b"".join(guest.take_output())
    frames, start = [], 0
    while start < len(wire):
        end = start + HEADER_SIZE + int.from_bytes(wire[start + 1 : start + 4], "big")
        frames.append(wire[start:end])
        start = end
    return frames


def mutate_frames(rng: Random, frames: list[bytes], other: list[bytes]) -> None:
    """Damage the order of frames, or one header, in place."""
    index = rng.randrange(len(frames))
    frame = frames[index]
    match rng.randrange(9):
        case 0:
            frames.insert(rng.randint(0, len(frames)), frame)
        case 1 if len(frames) > 1:
            del frames[index]
        case 2:
            second = rng.randrange(len(frames))
            frames[index], frames[second] = frames[second], frame
        case 3:
            frames[index:] = other[rng.randrange(len(other)) :]
        case 4:
            length = rng.choice((0, 1, 3, 4, 5, len(frame), 257, 4097, MAX_PAYLOAD, 0xFF_FFFF))
            frames[index] = frame[:1] + length.to_bytes(3, "big") + frame[4:]
        case 5:
            stream = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 1 << 31, 0xFFFF_FFFF))
            frames[index] = frame[:4] + stream.to_bytes(4, "big") + frame[8:]
        case 6:
            frames[index] = bytes([rng.randrange(8)]) + frame[1:]
        case 7:
            amount = rng.choice((1, WINDOW // 2, WINDOW, WINDOW + 1, 0xFFFF_FFFF, 0))
            credit = encode_header(Kind.CREDIT, rng.randint(1, 6), 4) + amount.to_bytes(4, "big")
            frames.insert(index, credit)
        case _:
            kind = rng.choice((Kind.END, Kind.RESET))
            frames.insert(index, encode_header(kind, rng.randint(1, 6), 0))


def mutate_bytes(rng: Random, data: bytearray, other: bytes) -> None:
    """Damage bytes wherever they are, in place."""
    if not data:
        return
    position = rng.randrange(len(data))
    match rng.randrange(6):
        case 0:
            data[position] ^= 1 << rng.randrange(8)
        case 1:
            del data[position:]
        case 2:
            del data[position : position + rng.randint(1, 8)]
        case 3:
            data[position:position] = rng.randbytes(rng.randint(1, 8))
        case 4:
            data[position:position] = data[position : position + rng.randint(1, 64)]
        case _:
            data[position:] = other[rng.randrange(len(other)) :]


class Host:
    """The host's connection, and an application that answers and parses all it is told."""

    def __init__(self) -> None:
        self.connection = Connection(Role.HOST, max_streams=8)
        self.connection.start()
        self.connection.open(b"exec")
        self.connection.open(b"file")
        self.connection.send(1, bytes(WINDOW // 2))
        self.connection.take_output()
        self.readers = {1: MessageReader(MESSAGE_LIMIT), 3: MessageReader(MESSAGE_LIMIT)}
        self.refusals: list[str] = []

    def receive(self, data: bytes) -> None:
        events = self.connection.receive(data)
        assert len(events) <= len(data) // HEADER_SIZE + 1
        for event in events:
            self.on_event(event)

    def on_event(self, event: Event) -> None:
        match event:
            case StreamOpened(stream):
                self.readers[stream] = MessageReader(MESSAGE_LIMIT)
                self.try_to(stream, "send")
            case DataReceived(stream, data):
                self.connection.consumed(stream, len(data))
                try:
                    self.readers[stream].feed(data)
                except ProtocolError as error:
                    self.refusals.append(str(error))
                    self.connection.reset(stream, str(error))
            case StreamEnded(stream):
                self.try_to(stream, "end")
            case StreamReset(stream, reason):
                assert len(reason) <= 256
                del self.readers[stream]

    def try_to(self, stream: int, what: str) -> None:
        try:
            if what == "send":
                self.connection.send(stream, b"welcome")
            else:
                self.connection.end(stream)
        except StreamClosedError:
            pass  # the same bytes went on to reset it

    def check_bounds(self) -> None:
        assert self.connection.buffered < HEADER_SIZE + MAX_PAYLOAD
        assert len(self.connection.streams) <= 2 + 8
        assert self.connection.output_size < MAX_CONTROL_BACKLOG
        for reader in self.readers.values():
            assert reader.buffered < 4 + MESSAGE_LIMIT


def template(message: str) -> str:
    """Return an error message without its numbers, to tell one rule from another."""
    return re.sub(r"\d+|'.*?'|(?<=begins ).*", "N", message)


def memory_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_damaged_conversations_are_events_or_a_protocol_error() -> None:
    rng = Random(SEED)  # repeatable, not secret
    corpus = [transcript(rng) for _ in range(200)]
    peak = memory_peak()
    accepted, rules = 0, set[str]()
    for _ in range(CONVERSATIONS):
        frames, other = list(rng.choice(corpus)), rng.choice(corpus)
        for _ in range(rng.randint(0, 3)):
            mutate_frames(rng, frames, other)
        data = bytearray(b"".join(frames))
        for _ in range(rng.choice((0, 0, 1, 2))):
            mutate_bytes(rng, data, b"".join(other))
        host = Host()
        cut = rng.randint(0, len(data))
        try:
            for part in (data[:cut], data[cut:]):
                host.receive(bytes(part))
                host.check_bounds()
                if rng.random() < 0.5:
                    host.connection.take_output()
            accepted += 1
        except ProtocolError as error:
            rules.add(template(str(error)))
        host.check_bounds()
        rules.update(map(template, host.refusals))
    print(f"{CONVERSATIONS} conversations, {accepted} of them accepted, {len(rules)} rules broken")
    assert memory_peak() - peak < MAX_GROWTH_KIB
    # A fuzzer that everything refuses at once, or that is never refused, tests nothing.
    assert CONVERSATIONS // 20 < accepted < CONVERSATIONS // 2
    assert len(rules) > 30


def test_damaged_messages_are_messages_or_a_protocol_error() -> None:
    rng = Random(SEED)  # repeatable, not secret
    corpus = [encode_message(message) for message in SAMPLE_MESSAGES]
    peak = memory_peak()
    accepted, rules = 0, set[str]()
    for _ in range(MESSAGES):
        body = bytearray(rng.choice(corpus)[4:])
        for _ in range(rng.randint(0, 3)):
            mutate_bytes(rng, body, rng.choice(corpus)[4:])
        for _ in range(rng.randrange(2)):  # grow what nests
            position = rng.randrange(len(body) + 1)
            body[position:position] = rng.choice((b"[", b'{"":', b"9", b'"a":1,')) * rng.randint(
                1, 99
            )
        length = len(body) if rng.random() < 0.9 else rng.randrange(2 * MESSAGE_LIMIT)
        reader = MessageReader(MESSAGE_LIMIT)
        try:
            for message in reader.feed(length.to_bytes(4, "big") + body):
                assert type(message) is dict
                encode_message(message)
                accepted += 1
        except ProtocolError as error:
            rules.add(template(str(error)))
        assert reader.buffered < 4 + MESSAGE_LIMIT
    print(f"{MESSAGES} messages, {accepted} of them accepted, {len(rules)} rules broken")
    assert memory_peak() - peak < MAX_GROWTH_KIB
    assert MESSAGES // 20 < accepted < MESSAGES // 2
    assert len(rules) > 10
