"""Hosts as they are written in profiles: one spelling for each.

There are many ways to write one host (case, trailing dots, addresses in decimal, octal or hex, v4
within v6). A profile has one, so that two of its rules that look different are different.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Annotated

from pydantic import AfterValidator, Field

from stockade.model.wording import quote

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")

_MISPLACED = {
    "://": "write only the name; 'protocol' says how it is spoken to",
    "@": "credentials go under 'credential'",
    "/": "paths go under 'paths'; ranges of addresses are not supported",
    "[": "write an IPv6 address without brackets; ports go under 'port'",
}


def _host(text: str) -> str:
    if text == "*":
        return text
    wanted = _misplaced(text)
    if wanted:
        raise ValueError(f"{quote(text)} is not a host; {wanted}")
    name = text.lower().removeprefix("*.")
    if "*" in name:
        raise ValueError(
            f"{quote(text)}: '*' can only be the first label, as in '*.example.com', which is all"
            " names below example.com"
        )
    if not name.isascii():
        raise ValueError(f"{quote(text)}: write the name in its ASCII form, which begins 'xn--'")
    labels = name.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or len(name) > 253:
        raise ValueError(f"{quote(text)} is not a host name, such as api.example.com")
    if _NUMBER.fullmatch(labels[-1]):
        return _address(text)
    return text.lower()


def _misplaced(text: str) -> str:
    """What stands in ``text`` that is not part of a host, and where it goes."""
    for mark, advice in _MISPLACED.items():
        if mark in text:
            return advice
    if ":" in text:
        return _spelling(text)
    return "leave the last dot out" if text.endswith(".") else ""


def _spelling(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return "ports go under 'port'"
    if isinstance(address, IPv6Address) and address.scope_id:
        return "leave the zone out"
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped
    return "" if str(address) == text and not mapped else f"write it as {mapped or address}"


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(
            f"{quote(text)} is not an address; write four decimal numbers, such as 192.0.2.1"
        ) from None


def _read(text: str) -> str:
    # An IPv6 address in its one spelling is the only host with colons.
    if ":" in text and not _misplaced(text):
        return text
    return _host(text)


Host = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_read)]
"""A name, ``*.`` and a name for all names below it, an IP address, or ``*`` for any host."""
