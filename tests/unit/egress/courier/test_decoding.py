"""Compressed answers: read in pieces, and not beyond all measure."""

from __future__ import annotations

import gzip
from contextlib import suppress
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.courier.decoding import Gunzip, decoder
from stockade.egress.courier.problems import BrokenOffError, Undeliverable


def _decode(chunks: list[bytes], most: int = 1 << 30) -> bytes:
    gunzip = Gunzip(most)
    decoded = b"".join(piece for chunk in chunks for piece in gunzip.feed(chunk))
    gunzip.end()
    return decoded


@given(st.binary(max_size=3000), st.integers(1, 50))
def test_any_cut_decodes_to_the_same(content: bytes, size: int) -> None:
    packed = gzip.compress(content) + gzip.compress(content[::-1])
    chunks = [packed[i : i + size] for i in range(0, len(packed), size)]
    assert _decode(chunks) == content + content[::-1]


def test_a_bomb_comes_in_small_pieces_and_is_cut_off() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    sizes: list[int] = []
    with pytest.raises(BrokenOffError, match="more than is taken"):
        sizes.extend(len(piece) for piece in Gunzip(10_000_000).feed(bomb))
    assert max(sizes) <= 65_536
    assert sum(sizes) <= 10_000_000


def test_the_last_full_piece_is_not_lost() -> None:
    content = bytes(65_536 * 3)
    assert _decode([gzip.compress(content)]) == content


@given(st.binary(min_size=1, max_size=200))
def test_hostile_bytes_break_off(noise: bytes) -> None:
    with suppress(BrokenOffError):
        _decode([noise])


def test_a_cut_stream_is_noticed() -> None:
    with pytest.raises(BrokenOffError, match="ends early"):
        _decode([gzip.compress(b"x" * 1000)[:-4]])


def test_only_gzip_is_known() -> None:
    assert decoder([]) is None
    assert decoder([(b"content-encoding", b"identity")]) is None
    assert decoder([(b"content-encoding", b"GZip")])
    for coding in (b"br", b"deflate", b"gzip, gzip", b"zstd"):
        with pytest.raises(Undeliverable) as refused:
            decoder([(b"content-encoding", coding)])
        assert refused.value.status is HTTPStatus.BAD_GATEWAY
