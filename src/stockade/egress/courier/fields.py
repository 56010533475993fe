"""Header fields as they are passed on: without those that concern one connection alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from stockade.egress.courier.errand import Errand

Fields = list[tuple[bytes, bytes]]
"""Names in small letters, and values; in the order in which they were sent."""

# RFC 9110, section 7.6.1, and what older programs send. Content-Length is not among them: it tells
# of the content, and the libraries on both sides hold the content to it.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authentication-info proxy-authorization"
    b" proxy-connection te trailer transfer-encoding upgrade".split()
)
# What the proxy in front adds or needs, and what would make parts of an answer of the whole: a
# secret that is echoed in two halves is not recognised.
_OURS = frozenset(b"expect forwarded if-range range x-request-id".split())
_OUR_PREFIXES = (b"x-stockade-", b"x-envoy-", b"x-forwarded-")


def lowered(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The same with names in small letters."""
    return [(name.lower(), value) for name, value in fields]


def values(fields: Fields, name: bytes) -> list[bytes]:
    """All values of ``name``."""
    return [value for each, value in fields if each == name]


def tokens(fields: Fields, name: bytes) -> list[bytes]:
    """The members of a list (RFC 9110, section 5.6.1) in small letters, empty ones left out."""
    joined = b",".join(values(fields, name)).lower()
    return [token for part in joined.split(b",") if (token := part.strip())]


def media_type(value: bytes) -> bytes:
    """The type of a Content-Type, without parameters (RFC 9110, section 8.3.1)."""
    return value.partition(b";")[0].strip().lower()


def without(fields: Fields, names: Collection[bytes]) -> Fields:
    """The same without all fields of ``names``."""
    return [(name, value) for name, value in fields if name not in names]


def end_to_end(fields: Fields) -> Fields:
    """Leave out the fields that are for the next hop alone, and those that Connection names."""
    return without(fields, _HOP_BY_HOP | set(tokens(fields, b"connection")))


def authority(errand: Errand, *, always_port: bool = False) -> bytes:
    """The Host of a request, with the port if it is not the scheme's own."""
    host = f"[{errand.host}]" if ":" in errand.host else errand.host
    usual = {"http": 80, "https": 443}[errand.scheme]
    return (f"{host}:{errand.port}" if always_port or errand.port != usual else host).encode()


def of_request(fields: Fields, *, host: bytes, length: int | None = None) -> Fields:
    """The fields of a request as they go upstream.

    ``length`` is that of the body if it is known; otherwise the body is framed as it came.
    """
    left_out = _OURS | {b"host", b"accept-encoding"}
    framing: Fields = []
    if length is not None:
        left_out |= {b"content-length"}
        framing = [(b"content-length", str(length).encode())]
    elif b"chunked" in tokens(fields, b"transfer-encoding"):
        framing = [(b"transfer-encoding", b"chunked")]
    kept = [
        (name, value)
        for name, value in without(end_to_end(fields), left_out)
        if not name.startswith(_OUR_PREFIXES)
    ]
    # What is compressed cannot be searched for echoes as it passes.
    return [(b"host", host), *kept, *framing, (b"accept-encoding", b"identity")]
