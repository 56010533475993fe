"""The profile that attempts are made under, and the judgement of what may be seen beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from stockade.selftest.framing import fault_of
from stockade.selftest.hosts import (
    ADDRESSES,
    API,
    DATABASE,
    EVIL,
    LEADING_INSIDE,
    NAIVE,
    TCP_PORT,
    TURNING,
)
from stockade.selftest.names import MIXED
from stockade.selftest.witness import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECRET_VARIABLE = "SELFTEST_KEY"  # noqa: S105 - a name
PROFILE: dict[str, Any] = {
    "version": 1,
    "name": "selftest",
    "network": [
        {"host": API, "paths": ["/public/**"]},
        {"host": API, "methods": ["POST"], "paths": ["/given/**"], "credential": "key"},
        {"host": NAIVE, "methods": ["GET", "POST"], "paths": ["/public/**"]},
        {"host": API, "protocol": "http", "paths": ["/public/**"]},
        {"host": NAIVE, "protocol": "http", "methods": ["GET", "POST"], "paths": ["/public/**"]},
        {"host": DATABASE, "port": TCP_PORT, "protocol": "tcp"},
        {"host": TURNING, "paths": ["/public/**"]},
        {"host": TURNING, "port": TCP_PORT, "protocol": "tcp"},
        {"host": MIXED, "port": TCP_PORT, "protocol": "tcp"},
        {"host": "loopback.example.com", "port": 80, "protocol": "tcp"},
        {"host": "metadata.example.com", "protocol": "http"},
        {"host": "private.example.com"},
    ],
    "credentials": {"key": {"from": f"env:{SECRET_VARIABLE}"}},
}
"""Grants of little. Three names lead inside, and must not be followed there."""

WIDENING = [
    {"host": EVIL, "methods": ["GET", "POST"]},
    *({"host": ADDRESSES[EVIL], "port": port, "protocol": "tcp"} for port in (80, 443)),
    {"host": API, "paths": ["/**"]},
    {"host": API, "protocol": "http", "paths": ["/**"]},
]
"""Grants that would let attempts succeed, to see that it is noticed."""

_NAMES = {API, NAIVE, DATABASE, TURNING, MIXED, *LEADING_INSIDE}
_PLACES = {
    *((ADDRESSES[host], 443) for host in (API, NAIVE, TURNING)),
    *((ADDRESSES[host], 80) for host in (API, NAIVE)),
    *((ADDRESSES[host], TCP_PORT) for host in (DATABASE, TURNING)),
}
_RESOLVER = (17, "127.0.0.1", 53)
_TCP = 6
_GRANTED = {API: (("GET", "HEAD"), "/public/"), TURNING: (("GET", "HEAD"), "/public/")}
_WITH_SECRET = (("POST",), "/given/")
# What some servers have taken for a dot or a slash: overlong UTF-8 and full-width letters.
_LOOKALIKES = {
    b"\xc0\xae": b".", b"\xc0\xaf": b"/", "\uff0e".encode(): b".", "\uff0f".encode(): b"/",
    b"\\": b"/", b";": b"/", b"%u002e": b".", b"%u002f": b"/",
}  # fmt: skip


@dataclass(frozen=True)
class Breach:
    """What must not have been seen; ``mark`` is that of the attempt, or "" if it is not known."""

    mark: str
    what: str


def breaches(seen: Iterable[dict[str, Any]], secret: str) -> Iterator[Breach]:
    """All that was seen outside of the machine and not granted."""
    for one in seen:
        if what := _fault(one, secret):
            mark = MARK.search(json.dumps(one).encode())
            yield Breach(mark[0].decode().lower() if mark else "", what)


def _fault(one: dict[str, Any], secret: str) -> str:
    judge = {
        "packet": _fault_of_packet,
        "question": _fault_of_question,
        "connection": _fault_of_connection,
    }.get(one["kind"])
    if judge:
        return judge(one)
    if one["kind"] == "bytes":
        return _fault_of_bytes(one["text"], secret)
    return _fault_of_request(one, secret)


def _fault_of_packet(one: dict[str, Any]) -> str:
    protocol, place = one["protocol"], (one["host"], one["port"])
    if (protocol == _TCP and place in _PLACES) or (protocol, *place) == _RESOLVER:
        return ""
    return f"a packet of protocol {protocol} to {place[0]}, port {place[1]}"


def _fault_of_question(one: dict[str, Any]) -> str:
    return "" if one["host"] in _NAMES else f"a question for {one['host']}"


def _fault_of_connection(one: dict[str, Any]) -> str:
    return "" if one["host"] == DATABASE else f"a connection to {one['host']}, port {one['port']}"


def _fault_of_bytes(text: str, secret: str) -> str:
    if fault := fault_of(text.encode("latin-1"), NAIVE):
        return f"{NAIVE} got {fault}"
    return f"{NAIVE} got the credential" if secret in text else ""


def _fault_of_request(one: dict[str, Any], secret: str) -> str:
    asked = f"{one['method']} {one['path']}"
    host = one["host"]
    said = one["headers"].get("host", "")
    if said not in (host, f"{host}:443", f"{host}:80"):
        return f"{host} was asked {asked} for {said}"
    given = host == API and _fits(one, *_WITH_SECRET)
    if not given and not (host in _GRANTED and _fits(one, *_GRANTED[host])):
        return f"{host} was asked {asked}"
    field = one["headers"].get("authorization", "")
    if given and field != f"Bearer {secret}":
        return f"{host} was asked {asked} with another credential"
    if not given and secret in json.dumps(one):
        return f"{host} was asked {asked} with the credential"
    return ""


def _fits(one: dict[str, Any], methods: tuple[str, ...], prefix: str) -> bool:
    """Whether a request is granted, whichever way its path is read."""
    if one["method"] not in methods:
        return False
    path = one["path"].encode("latin-1")
    for _ in range(4):
        plain = path
        for form, meant in _LOOKALIKES.items():
            plain = plain.replace(form, meant)
        segments = plain.split(b"/")[1:]
        if (
            not plain.startswith(prefix.encode())
            or b".." in segments
            or re.search(rb"[\0-\x20]", path)
        ):
            return False
        path = unquote_to_bytes(path)
    return True
