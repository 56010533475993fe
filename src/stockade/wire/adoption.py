"""The first word to a machine, on a port of its own: whose it is from now on.

A machine that is a copy of another one has the other's random numbers, clock and half-said frames.
The word gives it new ones, and a nonce; what the machine says after the nonce, on the port of the
frames, is for the host that sent it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

NONCE_SIZE, SEED_SIZE = 32, 64
_LAYOUT = struct.Struct(f">{NONCE_SIZE}s{SEED_SIZE}sd")
ADOPTION_SIZE = _LAYOUT.size


class Adoption(NamedTuple):
    """``NONCE_SIZE`` and ``SEED_SIZE`` random bytes; the time in seconds since the epoch."""

    nonce: bytes
    seed: bytes
    time: float

    def pack(self) -> bytes:
        """The ``ADOPTION_SIZE`` bytes to send."""
        return _LAYOUT.pack(*self)

    @classmethod
    def unpack(cls, record: bytes) -> Adoption:
        """Read ``ADOPTION_SIZE`` bytes."""
        return cls(*_LAYOUT.unpack(record))
