"""Requests that are made to be read in two ways: none of them gets a byte to a host."""

from __future__ import annotations

from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events
import pytest
from anyio.from_thread import start_blocking_portal
from tests.functional.envoylab import DENIED, HOST, OTHER, Lab, answer_of, laboratory

from stockade.egress.http.check import HttpAnswer, HttpCheck, Refusal
from stockade.egress.http.config import Bounds

_INNER = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
_CHUNKED = "0\r\n\r\n"

# One request each, by what is wrong with it: what follows the request line and the Host header.
_FRAMING = {
    "CL.TE": f"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{_CHUNKED}{_INNER}",
    "TE.CL": f"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{_CHUNKED}{_INNER}",
    "TE.TE": f"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n{_CHUNKED}{_INNER}",
    "two lengths": f"Content-Length: 0\r\nContent-Length: {len(_INNER)}\r\n\r\n{_INNER}",
    "a list of lengths": f"Content-Length: 0, {len(_INNER)}\r\n\r\n{_INNER}",
    "a signed length": f"Content-Length: +0\r\n\r\n{_INNER}",
    "a negative length": f"Content-Length: -1\r\n\r\n{_INNER}",
    "a hexadecimal length": f"Content-Length: 0x5\r\n\r\nabcde{_INNER}",
    "an endless length": f"Content-Length: {'9' * 40}\r\n\r\n{_INNER}",
    "an unknown coding": f"Transfer-Encoding: xchunked\r\n\r\n{_CHUNKED}{_INNER}",
    "identity": f"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n{_INNER}",
    "chunked not last": f"Transfer-Encoding: chunked, gzip\r\n\r\n{_CHUNKED}{_INNER}",
    "chunked twice": f"Transfer-Encoding: chunked, chunked\r\n\r\n{_CHUNKED}{_INNER}",
    "quoted coding": f'Transfer-Encoding: "chunked"\r\n\r\n{_CHUNKED}{_INNER}',
    "space before the colon": f"Transfer-Encoding : chunked\r\n\r\n{_CHUNKED}{_INNER}",
    "a NUL in a value": "X: a\0b\r\n\r\n",
    "a NUL in a name": "X\0Y: a\r\n\r\n",
    "a control character": "X: a\x01b\r\n\r\n",
    "no colon": "Broken\r\n\r\n",
    "an empty name": ": a\r\n\r\n",
    "a space in a name": "X Y: a\r\n\r\n",
    "an underscore in a name": "Content_Length: 5\r\n\r\n",
    "a second host": f"Host: {OTHER}\r\n\r\n",
    "a chunk of no size": "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "an overlong chunk size": "Transfer-Encoding: chunked\r\n\r\n" + "f" * 20 + "\r\nabc",
    "large headers": f"X: {'a' * 70_000}\r\n\r\n",
    "many headers": "".join(f"X{i}: a\r\n" for i in range(200)) + "\r\n",
}

_LINES = {
    "absolute form": f"GET http://{HOST}/ HTTP/1.1",
    "absolute form of another": f"GET http://{OTHER}/ HTTP/1.1",
    "absolute form with a user": f"GET http://{HOST}@{OTHER}/ HTTP/1.1",
    "CONNECT": f"CONNECT {OTHER}:443 HTTP/1.1",
    "CONNECT to itself": f"CONNECT {HOST}:80 HTTP/1.1",
    "an asterisk": "OPTIONS * HTTP/1.1",
    "no leading slash": "GET repos HTTP/1.1",
    "an empty segment": "GET //evil/x HTTP/1.1",
    "an empty segment within": "GET /repos//x HTTP/1.1",
    "a dot segment": "GET /repos/../admin HTTP/1.1",
    "a dot segment at the end": "GET /repos/.. HTTP/1.1",
    "a single dot": "GET /./repos HTTP/1.1",
    "encoded dots": "GET /repos/%2e%2e/admin HTTP/1.1",
    "half encoded dots": "GET /repos/.%2E/admin HTTP/1.1",
    "dots and an encoded slash": "GET /repos/..%2fadmin HTTP/1.1",
    "all encoded": "GET /repos%2f%2e%2e%2fadmin HTTP/1.1",
    "twice encoded dots": "GET /repos/%252e%252e/admin HTTP/1.1",
    "thrice encoded dots": "GET /repos/%25252e%25252e/admin HTTP/1.1",
    "a parameter after dots": "GET /repos/..;/admin HTTP/1.1",
    "an encoded parameter after dots": "GET /repos/..%3b/admin HTTP/1.1",
    "a backslash": "GET /repos\\..\\admin HTTP/1.1",
    "an encoded backslash": "GET /repos/..%5cadmin HTTP/1.1",
    "an encoded NUL": "GET /repos%00/x HTTP/1.1",
    "an encoded line break": "GET /repos%0d%0aX:y HTTP/1.1",
    "an encoded empty segment": "GET /%2fevil/x HTTP/1.1",
    "a fragment": "GET /repos#x HTTP/1.1",
    "bytes over 127": "GET /caf\xe9 HTTP/1.1",
    "a long path": "GET /" + "a" * 40_000 + " HTTP/1.1",
    "a third word": "GET /repos x HTTP/1.1",
    "HTTP/0.9": "GET /repos",
    "HTTP/1.0": "GET /repos HTTP/1.0",
    "HTTP/1.2": "GET /repos HTTP/1.2",
    "HTTP/2.0 in words": "GET /repos HTTP/2.0",
    "an unknown method": "SMUGGLE /repos HTTP/1.1",
    "a method with a NUL": "GE\0T /repos HTTP/1.1",
}

# What Envoy reads as RFC 9112 (2.2, 3, 5.2) allows, and writes anew before anybody else reads it.
_REWRITTEN = {
    "a folded header": f"\r\nTransfer-Encoding:\r\n chunked\r\n\r\n{_CHUNKED}{_INNER}",
    "a folded value": f"\r\nX: a\r\n\tb\r\n\r\n{_INNER}",
    "bare LF": f"\nX: a\nTransfer-Encoding: chunked\n\n{_CHUNKED}{_INNER}",
    "bare CR": f"\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n{_INNER}",
}

_HOSTS = {
    "another host": OTHER,
    "a denied host": DENIED,
    "another port": f"{HOST}:8080",
    "the port of TLS": f"{HOST}:443",
    "a user": f"{HOST}@{OTHER}",
    "a path": f"{OTHER}/{HOST}",
    "a trailing dot": f"{HOST}.",
    "a suffix": f"{HOST}.evil.test",
    "a list": f"{HOST}, {OTHER}",
    "an address": "127.0.0.1",
    "a NUL": f"{HOST}\0.evil.test",
    "nothing": "",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    bounds = Bounds(headers_time=0.5, idle=0.5)  # who waits for more of a request gives up
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            laboratory(tmp_path_factory.mktemp("e"), bounds=bounds)
        ) as lab,
    ):
        yield lab


@pytest.fixture
def lab(running: Lab) -> Lab:
    running.forget()
    return running


def _try(lab: Lab, request: str) -> bytes:
    with lab.raw() as connection:
        connection.sendall(request.encode("latin-1"))
        return answer_of(connection)


def _refused(answer: bytes) -> bool:
    """Nothing, or one answer, which is an error."""
    return not answer or (
        answer.count(b"HTTP/1.1 ") == 1 and answer.split(b" ", 2)[1][:1] in {b"4", b"5"}
    )


@pytest.mark.parametrize("what", _FRAMING)
def test_a_request_whose_end_is_in_dispute_goes_nowhere(lab: Lab, what: str) -> None:
    answer = _try(lab, f"POST /first HTTP/1.1\r\nHost: {HOST}\r\n{_FRAMING[what]}")
    assert _refused(answer), answer
    assert not [seen for seen in lab.reached if seen["path"] != "/first"]
    assert not lab.reached


@pytest.mark.parametrize("what", _LINES)
def test_a_request_line_that_can_be_read_in_two_ways_goes_nowhere(lab: Lab, what: str) -> None:
    answer = _try(lab, f"{_LINES[what]}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
    assert _refused(answer), answer
    assert not lab.reached


@pytest.mark.parametrize("what", _REWRITTEN)
@pytest.mark.parametrize(
    "line", ["GET /first HTTP/1.1", "GET  /first HTTP/1.1", "GET\t/first\tHTTP/1.1"]
)
def test_a_lenient_reading_is_the_only_one(lab: Lab, what: str, line: str) -> None:
    async def only_the_first(check: HttpCheck) -> HttpAnswer:
        return lab.allow(check) if check.path == "/first" else Refusal("network[0]", "no")

    with lab.deciding(only_the_first):
        _try(lab, f"{line}\r\nHost: {HOST}{_REWRITTEN[what]}")
    # Each request that there is was judged, and none reached the host but as it was judged.
    assert [check.path for check in lab.checks] in (["/first"], ["/first", "/smuggled"])
    assert [seen["path"] for seen in lab.reached] == ["/first"]
    headers = lab.reached[0]["headers"]
    assert not any(set(value) & {"\r", "\n"} for value in headers.values())
    assert what == "a folded header" or what == "bare LF" or "transfer-encoding" not in headers


@pytest.mark.parametrize("what", _HOSTS)
def test_a_host_other_than_the_connections_is_not_reached(lab: Lab, what: str) -> None:
    answer = _try(lab, f"GET / HTTP/1.1\r\nHost: {_HOSTS[what]}\r\nConnection: close\r\n\r\n")
    assert _refused(answer), answer
    assert not lab.reached


def test_the_same_requests_without_a_fault_pass(lab: Lab) -> None:
    for target in ("/repos", "/@types%2fnode", "/a;b=c?x=//../", "/%7Euser/a.b..c"):
        answer = _try(lab, f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), (target, answer)
    assert [seen["path"] for seen in lab.reached] == [
        "/repos",
        "/@types%2fnode",
        "/a;b=c",
        "/%7Euser/a.b..c",
    ]
    assert [check.path for check in lab.checks] == [seen["path"] for seen in lab.reached]


_GOOD = {":method": "GET", ":scheme": "https", ":path": "/", ":authority": HOST}
_HTTP2: dict[str, list[tuple[str, str]]] = {
    "another authority": [*{**_GOOD, ":authority": OTHER}.items()],
    "a user in the authority": [*{**_GOOD, ":authority": f"{HOST}@{OTHER}"}.items()],
    "no authority": [(k, v) for k, v in _GOOD.items() if k != ":authority"],
    "two authorities": [*_GOOD.items(), (":authority", OTHER)],
    "two paths": [*_GOOD.items(), (":path", "/admin")],
    "a dot segment": [*{**_GOOD, ":path": "/a/../b"}.items()],
    "a path without slash": [*{**_GOOD, ":path": f"https://{OTHER}/"}.items()],
    "an empty path": [*{**_GOOD, ":path": ""}.items()],
    "a line break in the path": [*{**_GOOD, ":path": "/a HTTP/1.1\r\nX: y"}.items()],
    "a space in the path": [*{**_GOOD, ":path": "/a b"}.items()],
    "a line break in a value": [*_GOOD.items(), ("x", "a\r\nTransfer-Encoding: chunked")],
    "a line break in the method": [*{**_GOOD, ":method": "GET / HTTP/1.1\r\nX: y"}.items()],
    "a NUL in a value": [*_GOOD.items(), ("x", "a\0b")],
    "transfer-encoding": [*_GOOD.items(), ("transfer-encoding", "chunked")],
    "connection": [*_GOOD.items(), ("connection", "upgrade")],
    "upper case": [*_GOOD.items(), ("X-Upper", "a")],
    "a pseudo-header after others": [("x", "a"), *_GOOD.items()],
    "an unknown pseudo-header": [*_GOOD.items(), (":x", "a")],
    "CONNECT": [(":method", "CONNECT"), (":authority", f"{OTHER}:443")],
    "extended CONNECT": [*{**_GOOD, ":method": "CONNECT", ":protocol": "websocket"}.items()],
    "a wrong length": [*_GOOD.items(), ("content-length", "5")],
}


@pytest.mark.parametrize("what", _HTTP2)
def test_http2_offers_no_way_around(lab: Lab, what: str) -> None:
    status = _by_http2(lab, _HTTP2[what])
    assert status == "" or status[0] in "45", status
    assert not lab.reached


def test_http2_itself_passes(lab: Lab) -> None:
    assert _by_http2(lab, [*_GOOD.items()]) == "200"
    assert len(lab.reached) == 1
    assert lab.checks[0].scheme == "https"


def test_a_host_header_beside_the_authority_is_dropped(lab: Lab) -> None:
    assert _by_http2(lab, [*_GOOD.items(), ("host", OTHER)]) == "200"  # RFC 9113, 8.3.1
    [seen] = lab.reached
    assert OTHER not in str(seen)


def test_the_scheme_is_that_of_the_connection(lab: Lab) -> None:
    status = _by_http2(lab, [*{**_GOOD, ":scheme": "http"}.items()])
    assert status in {"200", "400"}  # either refused, or taken for what it is
    assert not lab.plain.seen
    assert all(check.scheme == "https" for check in lab.checks)


def _by_http2(lab: Lab, headers: list[tuple[str, str]]) -> str:
    """Send headers as they are; the status of the answer, or "" if the stream or all was ended."""
    config = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False
    )
    machine = h2.connection.H2Connection(config)
    with lab.secure(alpn="h2") as tunnel:
        machine.initiate_connection()
        machine.send_headers(1, headers, end_stream=True)
        tunnel.sendall(machine.data_to_send())
        while chunk := tunnel.recv(65536):
            for event in machine.receive_data(chunk):
                if isinstance(event, h2.events.ResponseReceived):
                    return dict(event.headers)[b":status"].decode()
                if isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return ""
    return ""
