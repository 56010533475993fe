"""The ways in which a response may spell out a secret that its request carried."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

_HEX_BYTE = re.compile("%[0-9A-F]{2}")
_HEX_UNIT = re.compile(r"\\u([0-9a-f]{4})")


def spellings(secret: str) -> list[bytes]:
    """All spellings that are recognised, longest first.

    As it is or in letters of one case, in UTF-8 and UTF-16; percent-encoded in part or whole; as
    JSON and HTML escape it; in hexadecimal; and in base64 at each of the three offsets at which it
    may stand in what was encoded, so also behind ``user:``.
    """
    raw = secret.encode()
    percent = {"".join(f"%{byte:02X}" for byte in raw), quote_plus(secret)}
    percent |= {quote(secret, safe=safe) for safe in ("", "/", "!*'()")}  # as JavaScript does
    json_ascii, json_plain = (json.dumps(secret, ensure_ascii=a)[1:-1] for a in (True, False))
    numbered = re.sub("(....)", r"\\u\1", secret.encode("utf-16-be").hex())
    texts = {secret, json_plain, json_plain.replace("/", "\\/"), raw.hex(), raw.hex().upper()}
    texts |= {secret.lower(), secret.upper()}  # as names of header fields, for example
    texts |= {html.escape(secret), html.escape(secret, quote=False)}
    texts |= percent | {_HEX_BYTE.sub(_lower, text) for text in percent}
    for text in (json_ascii, json_ascii.replace("/", "\\/"), numbered):
        texts |= {text, _HEX_UNIT.sub(_upper, text)}
    found = {text.encode() for text in texts}
    found |= {secret.encode("utf-16-le"), secret.encode("utf-16-be")}
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(_inner(encode(b"\0" * offset + raw), offset, len(raw)))
    return sorted(found, key=lambda spelling: (-len(spelling), spelling))


def _lower(match: re.Match[str]) -> str:
    return match[0].lower()


def _upper(match: re.Match[str]) -> str:
    return "\\u" + match[1].upper()


def _inner(encoded: bytes, offset: int, length: int) -> bytes:
    """The digits of base64 that depend on the secret alone, whatever stands around it."""
    first = -(-offset * 8 // 6)
    return encoded[first : (offset + length) * 8 // 6]
