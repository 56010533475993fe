"""Which spellings are known."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.egress.rig import KEY

from stockade.egress.courier.spellings import spellings

_SECRETS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=8
)


@given(_SECRETS, st.binary(max_size=5), st.binary(max_size=5))
def test_base64_is_known_whatever_stands_around(secret: str, before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + secret.encode() + after)
        assert any(spelling in encoded for spelling in spellings(secret))


@pytest.mark.parametrize(
    "spelt",
    [
        KEY,
        KEY.lower(),
        KEY.upper(),
        quote(KEY),
        quote(KEY, safe=""),
        re.sub("%..", lambda m: m[0].lower(), quote(KEY, safe="")),
        quote(KEY, safe="!*'()"),
        "".join(f"%{byte:02x}" for byte in KEY.encode()),
        json.dumps(KEY)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        json.dumps(KEY, ensure_ascii=False)[1:-1],
        "".join(f"\\u{ord(c):04x}" for c in KEY),
        "".join(f"\\u{ord(c):04X}" for c in KEY),
        html.escape(KEY),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
    ],
)
def test_escapes_are_known(spelt: str) -> None:
    assert spelt.encode() in spellings(KEY)


def test_longer_spellings_come_first() -> None:
    lengths = [len(spelling) for spelling in spellings(KEY)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] >= 8
