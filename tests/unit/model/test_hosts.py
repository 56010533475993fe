from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from stockade.model.hosts import Host
from stockade.policy.networkrules import host_key

_HOST: TypeAdapter[str] = TypeAdapter(Host)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("api.github.com", "api.github.com"),
        ("API.GitHub.com", "api.github.com"),
        ("*.github.com", "*.github.com"),
        ("*", "*"),
        ("localhost", "localhost"),
        ("_dmarc.a-b.org", "_dmarc.a-b.org"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_hosts_are_read(text: str, read: str) -> None:
    assert _HOST.validate_python(text) == read


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("https://a.org", "'protocol' says how it is spoken to"),
        ("a.org/x", "paths go under 'paths'"),
        ("192.0.2.0/24", "ranges of addresses are not supported"),
        ("a.org:443", "ports go under 'port'"),
        ("user@a.org", "credentials go under 'credential'"),
        ("a.org.", "leave the last dot out"),
        ("[2001:db8::1]", "without brackets"),
        ("2001:DB8::1", "write it as 2001:db8::1"),
        ("::ffff:192.0.2.1", "write it as 192.0.2.1"),
        ("fe80::1%eth0", "leave the zone out"),
        ("2130706433", "four decimal numbers"),
        ("127.1", "four decimal numbers"),
        ("0x7f.0.0.1", "four decimal numbers"),
        ("0177.0.0.1", "four decimal numbers"),
        ("*.192.0.2.1", "four decimal numbers"),
        ("a.*.org", "can only be the first label"),
        ("*a.org", "can only be the first label"),
        ("bücher.example", "which begins 'xn--'"),
        ("a b", "is not a host name"),
        ("a..b", "is not a host name"),
        ("-a.org", "is not a host name"),
        ("a" * 64 + ".org", "is not a host name"),
        ("", "at least 1 character"),
    ],
)
def test_what_is_no_host_is_refused_with_the_fix(text: str, advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _HOST.validate_python(text)
    assert advice in caught.value.errors()[0]["msg"]


@given(st.text(alphabet="ab01.:*x-[]%/@ ", max_size=16))
def test_a_host_that_is_read_is_in_its_one_spelling(text: str) -> None:
    try:
        host = _HOST.validate_python(text)
    except ValidationError:
        return
    assert _HOST.validate_python(host) == host
    if "--" not in host:
        assert host_key(host, "here") == host
