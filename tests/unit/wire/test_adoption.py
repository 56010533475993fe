from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.wire.adoption import ADOPTION_SIZE, NONCE_SIZE, SEED_SIZE, Adoption

_NONCES = st.binary(min_size=NONCE_SIZE, max_size=NONCE_SIZE)
_SEEDS = st.binary(min_size=SEED_SIZE, max_size=SEED_SIZE)


@given(_NONCES, _SEEDS, st.floats(allow_nan=False))
def test_what_is_packed_is_read_back(nonce: bytes, seed: bytes, time: float) -> None:
    adoption = Adoption(nonce, seed, time)
    record = adoption.pack()
    assert len(record) == ADOPTION_SIZE
    assert Adoption.unpack(record) == adoption


@given(st.binary(min_size=ADOPTION_SIZE, max_size=ADOPTION_SIZE))
def test_any_bytes_of_the_right_size_say_something(record: bytes) -> None:
    adoption = Adoption.unpack(record)
    assert (len(adoption.nonce), len(adoption.seed)) == (NONCE_SIZE, SEED_SIZE)
    # There are many ways to write that a time is none, and but one is written.
    assert math.isnan(adoption.time) or adoption.pack() == record


@pytest.mark.parametrize("size", [0, 1, ADOPTION_SIZE - 1, ADOPTION_SIZE + 1])
def test_a_record_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(struct.error):
        Adoption.unpack(bytes(size))


def test_the_record_is_as_the_guest_of_every_version_reads_it() -> None:
    record = Adoption(bytes(range(32)), bytes(range(64)), 1.5).pack()
    assert record == bytes(range(32)) + bytes(range(64)) + bytes.fromhex("3ff8000000000000")
