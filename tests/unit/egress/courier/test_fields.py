"""Which header fields go on, and which end here."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.courier.errand import Errand
from stockade.egress.courier.fields import authority, end_to_end, media_type, of_request, tokens


def test_fields_of_one_connection_end_here() -> None:
    fields = [
        (b"connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"5"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"te", b"trailers"),
        (b"proxy-authorization", b"Basic eA=="),
        (b"accept", b"*/*"),
    ]
    assert end_to_end(fields) == [(b"accept", b"*/*")]


def test_a_request_goes_on_without_ours_and_asks_for_plain_answers() -> None:
    fields = [
        (b"host", b"evil"),
        (b"x-stockade-session", b"s"),
        (b"x-envoy-internal", b"1"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"range", b"bytes=0-3"),
        (b"expect", b"100-continue"),
        (b"accept-encoding", b"br"),
        (b"content-length", b"7"),
        (b"accept", b"*/*"),
    ]
    assert of_request(fields, host=b"api.test") == [
        (b"host", b"api.test"),
        (b"content-length", b"7"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"identity"),
    ]
    assert (b"content-length", b"9") in of_request(fields, host=b"x", length=9)


def test_a_body_of_unknown_length_stays_one() -> None:
    fields = of_request([(b"transfer-encoding", b"chunked")], host=b"x")
    assert (b"transfer-encoding", b"chunked") in fields
    fields = of_request([(b"transfer-encoding", b"chunked")], host=b"x", length=3)
    assert (b"transfer-encoding", b"chunked") not in fields


@pytest.mark.parametrize(
    ("scheme", "host", "port", "expected"),
    [
        ("https", "api.test", 443, b"api.test"),
        ("https", "api.test", 80, b"api.test:80"),
        ("http", "api.test", 80, b"api.test"),
        ("https", "2001:db8::1", 8443, b"[2001:db8::1]:8443"),
    ],
)
def test_the_authority(scheme: str, host: str, port: int, expected: bytes) -> None:
    errand = Errand("s", scheme, host, port, [ip_address("127.0.0.1")])  # type: ignore[arg-type]
    assert authority(errand) == expected


@given(st.binary(max_size=100))
def test_lists_are_read_from_anything(value: bytes) -> None:
    found = tokens([(b"connection", value)], b"connection")
    assert all(token and token == token.strip().lower() for token in found)


def test_media_types() -> None:
    assert media_type(b"Application/JSON; charset=utf-8") == b"application/json"
    assert media_type(b"") == b""
