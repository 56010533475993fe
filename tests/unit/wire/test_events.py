from __future__ import annotations

import pytest

from stockade.wire.events import DataReceived, PeerReady, StreamEnded, StreamReset, StreamWritable


def test_events_compare_by_type_and_value() -> None:
    assert StreamEnded(3) == StreamEnded(3)
    assert StreamEnded(3) != StreamEnded(5)
    assert StreamEnded(3) != StreamWritable(3)
    assert DataReceived(3, b"ab") == DataReceived(3, bytearray(b"ab"))


def test_events_match_by_position_and_show_their_fields() -> None:
    match StreamReset(3, "no"):
        case StreamReset(stream, reason):
            assert (stream, reason) == (3, "no")
    assert repr(PeerReady(1)) == "PeerReady(version=1)"


def test_events_have_no_room_for_a_misspelt_field() -> None:
    with pytest.raises(AttributeError):
        StreamEnded(3).strem = 4  # type: ignore[attr-defined]
