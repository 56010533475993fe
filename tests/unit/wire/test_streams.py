"""Streams alone, and then two connections at the ends of a slow channel.

The channel keeps order and promises nothing else: bytes wait as long as they like and arrive in
pieces of any size. Whatever the two applications do meanwhile, neither connection may find fault
with the other, and once all has arrived both must hold the same streams.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stockade.wire.connection import WINDOW, Connection, Role
from stockade.wire.errors import ProtocolError, StreamClosedError, StreamLimitError
from stockade.wire.events import (
    DataReceived,
    Event,
    StreamEnded,
    StreamOpened,
    StreamReset,
    StreamWritable,
)
from stockade.wire.streams import Stream, StreamTable

# One stream.


def test_credit_for_a_batch_not_taken_yet_is_refused() -> None:
    stream = Stream(1)
    stream.sent(100, batch=1)
    stream.sent(50, batch=2)
    assert not stream.credited(100, batch=2)
    with pytest.raises(ProtocolError):
        stream.credited(1, batch=2)
    assert not stream.credited(50, batch=3)
    assert stream.send_credit == WINDOW


def test_received_bytes_are_owed_once_consumed() -> None:
    stream = Stream(1)
    stream.received(WINDOW)
    assert stream.consumed(WINDOW // 4) == 0
    assert stream.consumed(WINDOW // 4) == WINDOW // 2
    stream.received(WINDOW // 2)
    with pytest.raises(ProtocolError):
        stream.received(1)


# The table.


def test_ids_of_each_side_are_used_in_order() -> None:
    table = StreamTable(max_streams=8)
    assert [table.add(parity).id for parity in (1, 0, 0, 1)] == [1, 2, 4, 3]
    assert table.ids() == [1, 2, 4, 3]
    assert [n for n in range(-2, 9) if table.was_opened(n)] == [1, 2, 3, 4]


def test_ids_run_out() -> None:
    table = StreamTable(max_streams=8)
    table._next[1] = 0xFFFF_FFFF
    assert table.add(1).id == 0xFFFF_FFFF
    with pytest.raises(StreamLimitError, match="every stream id"):
        table.add(1)


def test_a_place_is_free_once_the_last_word_has_left() -> None:
    table = StreamTable(max_streams=1)
    stream = table.add(0)
    stream.stop_sending(batch=7)
    table.forget(stream, batch=7)
    with pytest.raises(StreamLimitError):
        table.add(0)
    table.batch_taken()
    assert table.add(0).id == 4


# Two connections.

MAX_STREAMS = 3
PATTERN = bytes(range(251)) * (3 * WINDOW // 251)


class Account:
    """What one application knows of one stream."""

    def __init__(self) -> None:
        self.sent = self.received = self.consumed = 0
        self.we_ended = self.peer_ended = False
        self.our_reset: str | None = None
        self.peer_reset: str | None = None

    @property
    def may_send(self) -> bool:
        return not self.we_ended and self.our_reset is None and self.peer_reset is None

    @property
    def held(self) -> int:
        return self.received - self.consumed


class Side:
    """One connection, its application, and the channel towards it."""

    def __init__(self, role: Role) -> None:
        self.connection = Connection(role, max_streams=MAX_STREAMS)
        self.connection.start()
        self.inbox = bytearray()
        self.accounts: dict[int, Account] = {}

    def flush(self, other: Side) -> None:
        other.inbox += b"".join(self.connection.take_output())

    def deliver(self, size: int) -> None:
        arriving = bytes(self.inbox[:size])
        del self.inbox[:size]
        for event in self.connection.receive(arriving):
            self.on_event(event)

    def deliver_frame(self) -> None:
        self.deliver(8 + int.from_bytes(self.inbox[1:4], "big"))

    def on_event(self, event: Event) -> None:
        if isinstance(event, StreamOpened):
            assert event.stream not in self.accounts
            self.accounts[event.stream] = Account()
            return
        if not isinstance(event, (DataReceived, StreamWritable, StreamEnded, StreamReset)):
            return
        account = self.accounts[event.stream]
        assert account.our_reset is None, "an event after our reset"
        assert account.peer_reset is None, "an event after the peer's reset"
        match event:
            case DataReceived(_, data):
                assert not account.peer_ended
                start = (account.received + event.stream) % 251
                assert data == PATTERN[start : start + len(data)]
                account.received += len(data)
            case StreamWritable(stream):  # unless a reset came with the credit
                assert self.connection.sendable(stream) or stream not in self.connection.streams
            case StreamEnded():
                assert not account.peer_ended
                account.peer_ended = True
            case StreamReset(_, reason):
                account.peer_reset = reason

    def open(self) -> None:
        stream = self.connection.open(b"a stream")
        self.accounts[stream] = Account()

    def send(self, stream: int, size: int) -> None:
        account = self.accounts[stream]
        start = (account.sent + stream) % 251
        data = PATTERN[start : start + size]
        room = self.connection.sendable(stream)
        if account.may_send:
            assert self.connection.send(stream, data) == min(size, room)
            account.sent += min(size, room)
        else:
            assert room == 0
            with pytest.raises(StreamClosedError):
                self.connection.send(stream, data)

    def consume(self, stream: int, size: int) -> None:
        account = self.accounts[stream]
        size = min(size, account.held)
        self.connection.consumed(stream, size)
        account.consumed += size

    def end(self, stream: int) -> None:
        account = self.accounts[stream]
        if account.may_send:
            self.connection.end(stream)
            account.we_ended = True
        else:
            with pytest.raises(StreamClosedError):
                self.connection.end(stream)

    def reset(self, stream: int, reason: str) -> None:
        account = self.accounts[stream]
        known_gone = stream not in self.connection.streams
        self.connection.reset(stream, reason)
        if account.our_reset is None and not known_gone:
            account.our_reset = reason


def settle(left: Side, right: Side) -> None:
    """Let everything arrive, one frame at a time from alternate sides."""
    while left.inbox or right.inbox or left.connection.output_size + right.connection.output_size:
        for side, other in ((left, right), (right, left)):
            side.flush(other)
            if side.inbox:
                side.deliver_frame()


def check_agreement(left: Side, right: Side) -> None:
    """Check what must hold of all streams when nothing is under way."""
    assert sorted(left.connection.streams) == sorted(right.connection.streams)
    assert left.accounts.keys() == right.accounts.keys()
    for stream in left.accounts:
        pair = left.accounts[stream], right.accounts[stream]
        was_reset = any(account.our_reset is not None for account in pair)
        both_ended = all(account.we_ended for account in pair)
        assert (stream in left.connection.streams) == (not was_reset and not both_ended)
        for ours, theirs in (pair, pair[::-1]):
            assert ours.received <= theirs.sent
            if theirs.our_reset is not None and ours.our_reset is None:
                # A reset tells its receiver something, unless both ends had told it all.
                assert ours.peer_reset == theirs.our_reset or (ours.we_ended and ours.peer_ended)
            if theirs.our_reset is None:
                assert ours.peer_reset is None
            if not was_reset:
                assert ours.received == theirs.sent
                assert ours.peer_ended == theirs.we_ended


class TwoPeers(RuleBasedStateMachine):
    """Random applications over a random channel."""

    sides = st.integers(0, 1)
    sizes = st.sampled_from([1, 100, 65_536, 65_537, WINDOW // 2, WINDOW, 2 * WINDOW])

    def __init__(self) -> None:
        super().__init__()
        self.ends = Side(Role.HOST), Side(Role.GUEST)

    def pick(self, side: int, choice: int) -> tuple[Side, int]:
        accounts = self.ends[side].accounts
        return self.ends[side], list(accounts)[choice % len(accounts)]

    def has_streams(self) -> bool:
        return all(end.accounts for end in self.ends)

    @initialize()
    def greet(self) -> None:
        for end in self.ends:
            end.open()
        settle(*self.ends)

    @rule(side=sides)
    def open(self, side: int) -> None:
        try:
            self.ends[side].open()
        except StreamLimitError:
            # Ours still live, or gone so lately that our last word has not left.
            own = [n for n in self.ends[side].connection.streams if n % 2 != side]
            assert len(own) == MAX_STREAMS or self.ends[side].connection.output_size

    @rule(side=sides, choice=st.integers(0, 9), size=sizes)
    def send(self, side: int, choice: int, size: int) -> None:
        end, stream = self.pick(side, choice)
        end.send(stream, size)

    @rule(side=sides, choice=st.integers(0, 9), size=sizes)
    def consume(self, side: int, choice: int, size: int) -> None:
        end, stream = self.pick(side, choice)
        end.consume(stream, size)

    @rule(side=sides, choice=st.integers(0, 9))
    def end(self, side: int, choice: int) -> None:
        end, stream = self.pick(side, choice)
        end.end(stream)

    @rule(side=sides, choice=st.integers(0, 9), reason=st.sampled_from(["", "why", "é" * 100]))
    def reset(self, side: int, choice: int, reason: str) -> None:
        end, stream = self.pick(side, choice)
        end.reset(stream, reason)

    @rule(side=sides)
    def flush(self, side: int) -> None:
        self.ends[side].flush(self.ends[1 - side])

    @precondition(lambda self: any(end.inbox for end in self.ends))
    @rule(side=sides, size=st.sampled_from([1, 7, 8, 20, 1000, 65_544, 4 * WINDOW]))
    def deliver(self, side: int, size: int) -> None:
        self.ends[side].deliver(size)

    @precondition(lambda self: any(end.inbox for end in self.ends))
    @rule(side=sides)
    def deliver_frame(self, side: int) -> None:
        if not self.ends[side].connection.buffered:
            self.ends[side].deliver_frame()

    @rule()
    def settle_and_compare(self) -> None:
        for end in self.ends:  # a frame may have arrived in part: frame by frame starts after it
            end.deliver(len(end.inbox))
        settle(*self.ends)
        check_agreement(*self.ends)
        for end, other in (self.ends, self.ends[::-1]):
            for stream in end.connection.streams:
                if end.accounts[stream].may_send and other.accounts[stream].held <= WINDOW // 2:
                    assert end.connection.sendable(stream) > 0, "stalled by nobody"

    @invariant()
    def held_data_is_bounded(self) -> None:
        for end, other in (self.ends, self.ends[::-1]):
            for stream, account in end.accounts.items():
                assert account.held <= WINDOW
                if stream in other.accounts:
                    assert other.accounts[stream].sent - account.consumed <= WINDOW

    def teardown(self) -> None:
        """Finish everything: no stream may be stuck, and all places come free."""
        self.settle_and_compare()
        for end in self.ends:
            for stream in end.accounts:
                end.consume(stream, WINDOW)
        settle(*self.ends)
        for end in self.ends:
            for stream in end.connection.streams:
                if end.accounts[stream].may_send:
                    assert end.connection.sendable(stream) > WINDOW // 2
                    end.end(stream)
        settle(*self.ends)
        check_agreement(*self.ends)
        for end in self.ends:
            assert end.connection.streams == []
            for _ in range(MAX_STREAMS):
                end.open()


TestTwoPeers = TwoPeers.TestCase
TestTwoPeers.settings = settings(deadline=None, max_examples=150, stateful_step_count=60)


def test_one_stalled_stream_blocks_no_other() -> None:
    host, guest = Side(Role.HOST), Side(Role.GUEST)
    for _ in range(2):
        host.open()
    for stream, _ in itertools.product((1, 3), range(2)):
        host.send(stream, WINDOW)
    settle(host, guest)
    guest.consume(3, WINDOW)
    settle(host, guest)
    assert host.connection.sendable(1) == 0
    assert host.connection.sendable(3) == WINDOW


STEPS = ("end", "reset", "consume", "flush and deliver one frame")


@pytest.mark.parametrize("first", list(itertools.product(range(2), STEPS)))
def test_every_way_to_finish_a_stream_ends_in_agreement(first: tuple[int, str]) -> None:
    """All 32,768 sequences of five steps: END, RESET and CREDIT cross in every possible way."""
    alphabet = list(itertools.product(range(2), STEPS))
    for word in itertools.product(alphabet, repeat=4):
        ends = Side(Role.HOST), Side(Role.GUEST)
        ends[0].open()
        settle(*ends)
        for end in ends:
            end.send(1, WINDOW // 2)  # so that consuming it grants CREDIT
        settle(*ends)
        for side, step in (first, *word):
            take_step(ends[side], ends[1 - side], step)
        settle(*ends)
        check_agreement(*ends)


def take_step(end: Side, other: Side, step: str) -> None:
    if step == "end":
        end.end(1)
    elif step == "reset":
        end.reset(1, "no")
    elif step == "consume":
        end.consume(1, WINDOW)
    else:
        other.flush(end)
        if end.inbox:
            end.deliver_frame()
