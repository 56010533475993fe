from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from stockade.selftest.witness import Packet, read


def _packet(protocol: int, body: bytes, host: str = "93.184.216.66") -> bytes:
    packed = ip_address(host).packed
    if len(packed) == 4:
        head = bytes([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0])
        return head + bytes(4) + packed + body
    return bytes([0x60, 0, 0, 0, 0, 0, protocol, 64]) + bytes(16) + packed + body


def _tcp(flags: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 443, 0, 0, 0x50, flags, 0, 0, 0) + data


@pytest.mark.parametrize("host", ["93.184.216.66", "2606:4700::1111"])
def test_what_opens_a_connection_is_seen(host: str) -> None:
    assert read(_packet(6, _tcp(2), host)) == Packet(6, host, 443, "")


def test_data_is_seen_if_it_is_marked() -> None:
    assert read(_packet(6, _tcp(16, b"x tag012 y"))) == Packet(6, "93.184.216.66", 443, "tag012")
    assert read(_packet(6, _tcp(16, b"other"))) is None


def test_datagrams_are_seen_but_answers_of_a_resolver() -> None:
    assert read(_packet(17, struct.pack("!HHHH", 9, 123, 8, 0))) == Packet(
        17, "93.184.216.66", 123, ""
    )
    assert read(_packet(17, struct.pack("!HHHH", 53, 123, 8, 0))) is None


def test_other_protocols_are_seen_but_errors_of_the_kernel() -> None:
    assert read(_packet(1, b"\x08\0\0\0")) == Packet(1, "93.184.216.66", 0, "")
    assert read(_packet(1, b"\x03\x03\0\0")) is None


@pytest.mark.parametrize("packet", [b"", b"\x45", b"\x60" + bytes(30)])
def test_what_is_cut_short_is_nothing(packet: bytes) -> None:
    assert read(packet) is None
