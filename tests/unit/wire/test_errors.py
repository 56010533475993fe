from __future__ import annotations

from stockade.wire.errors import MAX_MESSAGE, ProtocolError


def test_a_short_message_is_kept() -> None:
    assert str(ProtocolError("END before HELLO")) == "END before HELLO"


def test_a_message_with_the_peers_words_is_cut() -> None:
    message = str(ProtocolError("x" * 100_000))
    assert len(message) == MAX_MESSAGE
    assert message.endswith("x…")
