"""Whether bytes are one request and no more, to whoever reads them (RFC 9112).

This looks at what has left Stockade, and is strict: whatever two servers might divide differently
is a fault, also where most would not.
"""

from __future__ import annotations

import re

_REQUEST = re.compile(rb"(GET|POST) (/public/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t\x80-\xff]*)")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")


def fault_of(received: bytes, host: str) -> str:
    """What is wrong with it as one granted request to ``host``, or "" if nothing is."""
    head, ended, body = received.partition(b"\r\n\r\n")
    if not ended:
        return "a head that does not end" if received else ""
    first, *lines = head.split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if not request or b".." in request[2] or b"//" in request[2]:
        return f"the request {_show(first)}"
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if not field:
            return f"the line {_show(line)}"
        fields.setdefault(field[1].lower(), []).append(field[2].strip())
    if fields.get(b"host") != [host.encode()]:
        return f"the host {fields.get(b'host')}"
    return _fault_of_body(body, fields.get(b"content-length", []), fields)


def _fault_of_body(body: bytes, lengths: list[bytes], fields: dict[bytes, list[bytes]]) -> str:
    codings = fields.get(b"transfer-encoding", [])
    if codings:
        if codings != [b"chunked"] or lengths:
            return f"the transfer encoding {codings} with lengths {lengths}"
        return _fault_of_chunks(body)
    if len(lengths) > 1 or not all(one.isdigit() for one in lengths):
        return f"the lengths {lengths}"
    if len(body) > (int(lengths[0]) if lengths else 0):
        return f"more than its body: {_show(body)}"
    return ""


def _fault_of_chunks(body: bytes) -> str:
    """A body that breaks off is none: who sent it has given it up."""
    while body:
        size = _SIZE.match(body)
        if not size:
            return f"the chunk {_show(body)}"
        length = int(size[1], 16)
        body = body[size.end() :]
        if length == 0:
            return "" if body in (b"\r\n", b"") else f"after the last chunk {_show(body)}"
        if len(body) >= length + 2 and body[length : length + 2] != b"\r\n":
            return "a chunk that is longer than it says"
        body = body[length + 2 :]
    return ""


def _show(data: bytes) -> str:
    return repr(data[:80])
