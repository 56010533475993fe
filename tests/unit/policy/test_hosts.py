from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.policy.hosts import Host, clean_host
from stockade.policy.refusal import Refused


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("api.github.com", "api.github.com"),
        ("API.GitHub.com.", "api.github.com"),
        ("localhost", "localhost"),
        ("my_db.internal", "my_db.internal"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("XN--bcher-kva.example", "xn--bcher-kva.example"),
        ("fa\u00df.de", "xn--fa-hia.de"),
        ("1password.com", "1password.com"),
        (".".join(["a" * 63] * 3 + ["b" * 61]), ".".join(["a" * 63] * 3 + ["b" * 61])),
    ],
)
def test_a_name_has_one_spelling(text: str, clean: str) -> None:
    assert clean_host(text) == Host(clean)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[::1]", "::1"),
        ("::", "::"),
    ],
)
def test_an_address_is_known_for_one(text: str, clean: str) -> None:
    assert clean_host(text) == Host(clean, address=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (".", "not a host name"),
        ("a..b", "not a host name"),
        ("a.com@b", "not a host name"),
        ("a b", "not a host name"),
        ("-a.com", "not a host name"),
        ("a" * 64, "not a host name"),
        ("a." * 126 + "aa", "longer than any"),
        ("a" * 70000, "longer than any"),
        ("127.1", "odd spelling"),
        ("0x7f.0.0.1", "odd spelling"),
        ("010.0.0.1", "odd spelling"),
        ("2130706433", "odd spelling"),
        ("192.0.2.1.", "odd spelling"),
        ("::ffff:192.0.2.1", "IPv4 within IPv6"),
        ("64:ff9b::1", "IPv4 within IPv6"),
        ("fe80::1%eth0", "zone"),
        ("a.com:80", "not an address"),
        ("[a.com]", "not an address"),
        ("\uff41.com", "looks like"),
        ("\u212a.com", "looks like"),
        ("a\u3002com", "looks like"),
        ("a\u00ad.com", "looks like"),
        ("\ud800", "looks like"),
        ("xn--a.com", "RFC 5891"),
        ("ab--c.com", "RFC 5891"),
    ],
)
def test_what_could_be_misread_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        clean_host(text)


@given(st.text(max_size=40) | st.text(alphabet="0123456789abcdefx.:[]%-", max_size=40))
def test_a_clean_host_is_its_own_spelling(text: str) -> None:
    try:
        host = clean_host(text)
    except Refused:
        return
    assert host.text.isascii()
    assert clean_host(host.text) == host
