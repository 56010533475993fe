"""Messages of the secret discovery service, on the wire."""

from __future__ import annotations

import pytest

from stockade.egress.http.discovery import DecodeError, asked_for, told


def test_names_are_read_and_other_fields_skipped() -> None:
    # node {}, type_url "t", subscribe "a", unsubscribe "b", nonce "n"
    request = b"\x0a\x00\x12\x01t\x1a\x01a\x22\x01b\x32\x01n"
    assert asked_for(request) == (["a"], ["b"])


def test_garbage_is_no_request() -> None:
    with pytest.raises(DecodeError):
        asked_for(b"\x1a\xff")


def test_a_certificate_and_its_absence_are_told() -> None:
    given = told("a.test", "1", (b"chain", b"key"))
    for part in (b"a.test", b"chain", b"key", b"extensions.transport_sockets.tls.v3.Secret"):
        assert part in given
    absent = told("a.test", "2", None)
    assert absent.endswith(b"\x32\x06a.test")  # removed_resources
    assert b"chain" not in absent
