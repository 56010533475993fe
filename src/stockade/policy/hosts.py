"""Hosts as agents write them: a name or an address in its one spelling, or a refusal.

Names are ASCII and lower case (RFC 1123; underscores are let pass, as private networks have them);
others are mapped by UTS 46 to the form that DNS knows (RFC 5891). Addresses are known in every
spelling a resolver takes (inet_aton(3): one to four numbers in decimal, octal or hex; IPv4 within
IPv6; zones) and accepted in two alone: four decimal numbers, and plain IPv6. What is spelled
oddly is meant to be misread by someone, and is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from stockade.model.wording import quote
from stockade.policy.refusal import Refused

MAX_HOST = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAPPED_PREFIXES = (0, 0xFFFF << 32, 0x64FF9B << 96)
_PLAIN = "Write a plain name such as api.example.com, or an address such as 192.0.2.1."


@dataclass(frozen=True, slots=True)
class Host:
    """One host: ``text`` is its only spelling here, and ``address`` says that it is an address."""

    text: str
    address: bool = False


def clean_host(text: str) -> Host:
    """Read a host; ``Refused`` unless it can be read in one way only."""
    if not text:
        raise Refused("an empty host", _PLAIN)
    if len(text) > MAX_HOST + 1:
        raise Refused(f"host {quote(text)}, which is longer than any name")
    if ":" in text or text.startswith("["):
        return Host(_six(text), address=True)
    # One final dot names the same host (RFC 1034, section 3.1).
    labels = [_label(label, text) for label in text.removesuffix(".").split(".")]
    name = ".".join(labels)
    if len(name) > MAX_HOST:
        raise Refused(f"host {quote(text)}, which is longer than any name")
    if _NUMBER.fullmatch(labels[-1]):
        return Host(_four(text), address=True)
    return Host(name)


def _label(label: str, text: str) -> str:
    lower = label.lower() if label.isascii() else _encoded(label, text)
    if not _LABEL.fullmatch(lower):
        raise Refused(f"host {quote(text)}, which is not a host name", _PLAIN)
    if lower[2:4] == "--":
        _check_encoded(lower, text)
    return lower


def _four(text: str) -> str:
    try:
        address = str(IPv4Address(text))
    except AddressValueError:
        address = ""
    if address != text:
        raise Refused(f"host {quote(text)}, which is an odd spelling of an address", _PLAIN)
    return address


def _six(text: str) -> str:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = IPv6Address(inner)
    except AddressValueError:
        raise Refused(f"host {quote(text)}, which is not an address", _PLAIN) from None
    if address.scope_id is not None:
        raise Refused(f"host {quote(text)}, which has a zone", "Write the address without it.")
    number = int(address)
    high = number >> 32 << 32
    if "." in inner or (high in _MAPPED_PREFIXES and number not in (0, 1)):
        raise Refused(f"host {quote(text)}, which is IPv4 within IPv6", _PLAIN)
    return address.compressed


def _encoded(label: str, text: str) -> str:
    from idna import IDNAError, alabel, uts46_remap  # noqa: PLC0415 - its tables take time to load

    try:
        mapped = uts46_remap(label, std3_rules=True, transitional=False)
        # Other letters for plain ASCII, or another kind of dot: a look-alike, no name of its own.
        if not mapped.isascii() and "." not in mapped:
            return alabel(mapped).decode("ascii")
    except (IDNAError, UnicodeError, IndexError):
        pass
    raise Refused(f"host {quote(text)}, which looks like a host name and is none", _PLAIN)


def _check_encoded(label: str, text: str) -> None:
    from idna import IDNAError, ulabel  # noqa: PLC0415 - as above

    try:
        # What decodes to plain ASCII would be two spellings of one name.
        if label.startswith("xn--") and not ulabel(label).isascii():
            return
    except (IDNAError, UnicodeError, IndexError):
        pass
    raise Refused(f"host {quote(text)}, which has a label that RFC 5891 does not allow", _PLAIN)
