"""Answers Envoy's question about each request, and says no to all that it cannot decide.

An ASGI application behind Envoy's ext_authz filter. What names a session is what the door wrote
before the guest's first byte (PROXY protocol); the guest's own words are only compared with it.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import anyio

from stockade.egress.http import envelope, target
from stockade.egress.http.check import Courier, Direct, HttpCheck, Refusal

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from stockade.egress.http.check import HttpAnswer, Judge

RULE = "egress.http"  # the rule of what is refused whatever a profile grants

_ERRORS = {400: "malformed request", 403: "refused", 421: "wrong host", 429: "limit reached"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAPPED = "[::ffff:"
_log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]


class Authorizer:
    """Asks ``judge`` about each request, for at most ``patience`` seconds."""

    def __init__(self, judge: Judge, *, patience: float) -> None:
        self._judge, self._patience = judge, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 and where the request goes, or the refusal that the guest is shown."""
        del receive  # no body is sent along
        status, body = 503, b""
        headers: Headers = []
        try:
            with anyio.fail_after(self._patience):
                facts = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
                answer = await self._decide(facts)
            status, headers, body = _write(answer, facts)
        except TimeoutError:
            _log.warning("no answer about a request within %s s", self._patience)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
            # Its text may quote the request; the judge records what is worth recording.
            _log.warning("a request could not be decided: %s", type(error).__name__)
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _decide(self, facts: dict[str, str]) -> HttpAnswer:
        check = _read(facts)
        if isinstance(check, Refusal):
            return check
        return await self._judge(check)


def _read(facts: dict[str, str]) -> HttpCheck | Refusal:
    """Read Envoy's question; ValueError or KeyError if it is not one of its."""
    session = _session(facts[envelope.SESSION])
    destination, port = _endpoint(facts[envelope.DESTINATION])
    host, scheme = facts[envelope.HOST], facts[envelope.SCHEME]
    if scheme not in {"http", "https"} or not host or host == "-":
        raise ValueError(scheme)
    method, path_and_query = facts[envelope.METHOD], facts.get(envelope.TARGET, "")
    authority = facts.get(envelope.AUTHORITY, "")
    if method == "CONNECT":
        return Refusal(
            RULE, "this is no proxy for others", "Connect to the host itself.", status=400
        )
    if fault := target.fault_of(path_and_query):
        return Refusal(
            RULE, f"the request has {fault}", "Send the path in its plain form.", status=400
        )
    if not _names(authority, host, port, _DEFAULT_PORTS[scheme]):
        return _misdirected("Host header", authority, host)
    server_name = facts.get(envelope.SERVER_NAME, "")
    if scheme == "https" and server_name.lower() != host:
        return _misdirected("TLS server name", server_name, host)
    path, query = target.split(path_and_query)
    return HttpCheck(
        session=session,
        destination=destination,
        port=port,
        scheme="https" if scheme == "https" else "http",
        host=host,
        method=method,
        path=path,
        query=query,
        upgrade=facts.get(envelope.UPGRADE, "").lower() == "websocket",
    )


@lru_cache(maxsize=1024)
def _session(text: str) -> IPv6Address:
    return IPv6Address(text)


@lru_cache(maxsize=1024)
def _endpoint(text: str) -> tuple[IPv4Address, int]:
    """Read ``[::ffff:198.18.0.1]:443``, which is how an IPv4 address looks in a TCP6 header."""
    address, _, port = text.rpartition(":")
    if not address.startswith(_MAPPED):
        raise ValueError(text)
    return IPv4Address(address[len(_MAPPED) : -1]), int(port)


def _names(authority: str, host: str, port: int, default: int) -> bool:
    """Tell whether a Host header means the host and port that the guest is connected to."""
    name = authority.lower()
    return name == f"{host}:{port}" or (name == host and port == default) or name == f"[{host}]"


def _misdirected(what: str, said: str, host: str) -> Refusal:
    shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in said[:255])
    return Refusal(
        RULE,
        f"the {what} is {shown!r}, but the connection is to {host!r}",
        "Open a connection to each host by its own name.",
        status=421,
    )


def _write(answer: HttpAnswer, facts: dict[str, str]) -> tuple[int, Headers, bytes]:
    if isinstance(answer, Refusal):
        return answer.status, [(b"content-type", b"application/json")], describe(answer)
    given = {
        envelope.ROUTE: "courier" if isinstance(answer, Courier) else "direct",
        envelope.ADDRESS: _socket_address(answer),
        envelope.RULE: answer.rule if isinstance(answer, Courier) else "",
        **{name: facts[name] for name in envelope.ABOUT_THE_CONNECTION},
    }
    return (
        200,
        [(name.encode(), value.encode("ascii")) for name, value in given.items() if value],
        b"",
    )


def describe(refusal: Refusal) -> bytes:
    """The JSON that the guest is shown."""
    body = {
        "error": _ERRORS[refusal.status],
        "rule": refusal.rule,
        "reason": refusal.reason,
        "hint": refusal.hint,
        "how_to_ask": refusal.how_to_ask,
    }
    return json.dumps(body).encode() + b"\n"


def _socket_address(answer: Direct | Courier) -> str:
    if isinstance(answer.address, IPv6Address):
        return f"[{answer.address}]:{answer.port}"
    return f"{answer.address}:{answer.port}"
