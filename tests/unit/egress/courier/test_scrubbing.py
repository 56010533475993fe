"""No spelling of a secret gets through, however the stream is cut."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.egress.rig import KEY, PLAIN_KEY

from stockade.egress.courier.scrubbing import Scrubber
from stockade.egress.credentials.secret import Secret

_SPELT = [
    KEY.encode(),
    quote(KEY).encode(),
    quote(KEY, safe="").encode(),
    quote_plus(KEY).encode(),
    json.dumps(KEY)[1:-1].encode(),
    json.dumps(KEY, ensure_ascii=False)[1:-1].encode(),
    base64.b64encode(f"alice:{KEY}".encode()),
    KEY.encode().hex().encode(),
]


def _scrub(secret: str, chunks: list[bytes]) -> bytes:
    scrubber = Scrubber(Secret(secret, origin="a test"))
    return b"".join(map(scrubber.feed, chunks)) + scrubber.end()


@given(st.binary(max_size=40), st.sampled_from(_SPELT), st.binary(max_size=40), st.data())
def test_a_secret_is_found_wherever_the_chunks_end(
    before: bytes, spelt: bytes, after: bytes, data: st.DataObject
) -> None:
    text = before + spelt + after
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6).map(sorted))
    edges = [0, *cuts, len(text)]
    chunks = [text[a:b] for a, b in pairwise(edges)]
    clean = _scrub(KEY, chunks)
    assert spelt not in clean
    assert len(clean) == len(text)
    assert clean == _scrub(KEY, [text])


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_what_holds_no_secret_is_not_changed(chunks: list[bytes]) -> None:
    assert _scrub(PLAIN_KEY, chunks) == b"".join(chunks)


@pytest.mark.parametrize("user", ["", "a", "al", "ali", "alice"])
def test_basic_authentication_is_recognised(user: str) -> None:
    token = base64.b64encode(f"{user}:{PLAIN_KEY}".encode())
    clean = _scrub(PLAIN_KEY, [b"Basic ", token])
    assert clean.count(b"*") >= len(PLAIN_KEY)
    kept = clean.removeprefix(b"Basic ").replace(b"*", b"")
    # What is left of the token tells of the user, and at most of a bit or two at the edges.
    assert len(kept) <= len(base64.b64encode(f"{user}:".encode())) + 4


def test_only_what_may_be_the_secret_is_held_back() -> None:
    scrubber = Scrubber(Secret(PLAIN_KEY, origin="a test"))
    assert scrubber.feed(b"data: one\n\n") == b"data: one\n\n"
    assert scrubber.feed(b"data: sk-te") == b"data: "
    assert scrubber.feed(b"a\n\n") == b"sk-tea\n\n"
    assert scrubber.feed(b"sk-test-") == b""
    assert scrubber.end() == b"sk-test-"


def test_it_shows_nothing() -> None:
    assert repr(Scrubber(Secret(PLAIN_KEY, origin="a test"))) == "<scrubber>"
