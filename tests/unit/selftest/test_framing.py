from __future__ import annotations

import pytest

from stockade.selftest.framing import fault_of

_HEAD = b"POST /public/a HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n",
        b"Content-Length: 2\r\n\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ],
)
def test_one_request_is_one(rest: bytes) -> None:
    assert fault_of(_HEAD + rest, "h") == ""


@pytest.mark.parametrize(
    "rest",
    [
        b"\r\nGET /private HTTP/1.1\r\n\r\n",
        b"Content-Length: 1\r\n\r\nab",
        b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
        b"Transfer-Encoding: chunked\r\n\r\n2;x\nab\r\n0\r\n\r\n",
        b"A: b\n c: d\r\n\r\n",
        b"A: b\0\r\n\r\n",
        b" folded\r\n\r\n",
        b"Host: other\r\n\r\n",
        b"",
    ],
)
def test_what_could_be_two_is_a_fault(rest: bytes) -> None:
    assert fault_of(_HEAD + rest, "h")


@pytest.mark.parametrize("first", [b"GET /private", b"GET /public/../x", b"DELETE /public/a"])
def test_what_is_not_granted_is_a_fault(first: bytes) -> None:
    assert fault_of(first + b" HTTP/1.1\r\nHost: h\r\n\r\n", "h")
