"""The PROXY protocol header, against the words of its specification."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.http.proxyprotocol import AUTHORITY, header

SESSION, DESTINATION = IPv6Address("fd00::1"), IPv4Address("198.18.0.1")


@given(
    session=st.ip_addresses(v=6).filter(lambda a: not (a.is_multicast or a.is_unspecified)),
    destination=st.ip_addresses(v=4),
    port=st.integers(1, 65535),
    host=st.from_regex(r"[a-z0-9.-]{1,255}", fullmatch=True),
)
def test_everything_said_is_read_back(
    session: IPv6Address, destination: IPv4Address, port: int, host: str
) -> None:
    written = header(session, destination, port, host)
    assert written[:12] == b"\r\n\r\n\x00\r\nQUIT\n"
    assert written[12:14] == b"\x21\x21"
    (length,) = struct.unpack("!H", written[14:16])
    body = written[16:]
    assert len(body) == length
    assert body[:16] == session.packed
    assert IPv6Address(body[16:32]).ipv4_mapped == destination
    assert struct.unpack("!HH", body[32:36]) == (0, port)
    kind, size = struct.unpack("!BH", body[36:39])
    assert (kind, body[39:].decode()) == (AUTHORITY, host)
    assert size == len(host)


@pytest.mark.parametrize("host", ["", "a" * 256, "a\r\nb", "b\xfccher.test", "a\0b"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        header(SESSION, DESTINATION, 443, host)


@pytest.mark.parametrize("session", ["::", "ff02::1"])
def test_a_session_is_one_machine(session: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        header(IPv6Address(session), DESTINATION, 443, "a.test")
