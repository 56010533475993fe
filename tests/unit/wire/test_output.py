from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stockade.wire.frames import MAX_PAYLOAD, FrameDecoder, Kind
from stockade.wire.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable


def test_frames_leave_in_order_and_batches_are_numbered() -> None:
    output = Output()
    output.put(Kind.OPEN, 1, b"exec")
    output.put_data(1, b"abc", 3)
    output.put(Kind.END, 1)
    first = output.batch
    wire = b"".join(output.take())
    assert FrameDecoder().feed(wire) == [
        (Kind.OPEN, 1, b"exec"),
        (Kind.DATA, 1, b"abc"),
        (Kind.END, 1, b""),
    ]
    assert output.batch == first + 1
    assert output.take() == []


def test_sizes_count_what_waits_and_replies_leave_out_open_and_data() -> None:
    output = Output()
    output.put(Kind.OPEN, 1, b"exec")
    output.put_data(1, b"abc", 2)
    assert (output.size, output.replies) == (12 + 10, 0)
    output.put(Kind.CREDIT, 1, bytes(4))
    output.put(Kind.RESET, 1, b"no")
    output.put(Kind.END, 1)
    assert (output.size, output.replies) == (22 + 30, 30)
    assert sum(map(len, output.take())) == 52
    assert (output.size, output.replies) == (0, 0)


def test_data_is_split_at_the_largest_payload() -> None:
    output = Output()
    output.put_data(2, bytes(2 * MAX_PAYLOAD + 1), 2 * MAX_PAYLOAD + 1)
    buffers = output.take()
    assert [len(header) for header in buffers[0::2]] == [8, 8, 8]
    assert [len(payload) for payload in buffers[1::2]] == [MAX_PAYLOAD, MAX_PAYLOAD, 1]


def test_bytes_are_queued_without_a_copy() -> None:
    data = bytes(100)
    output = Output()
    output.put_data(2, data, 60)
    payload = output.take()[1]
    assert isinstance(payload, memoryview)
    assert payload.obj is data


@pytest.mark.parametrize("wrap", [bytearray, lambda data: memoryview(bytearray(data))])
def test_a_callers_buffer_may_change_once_queued(
    wrap: Callable[[bytes], bytearray | memoryview],
) -> None:
    buffer = wrap(b"before")
    output = Output()
    output.put_data(2, buffer, 6)
    buffer[:] = b"after!"
    assert bytes(output.take()[1]) == b"before"
