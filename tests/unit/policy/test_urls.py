from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.policy.refusal import Refused
from stockade.policy.urls import MAX_PATH, clean_method, clean_query, clean_url_path


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("/a%20b", "/a b"),
        ("/caf%C3%A9", "/café"),
        ("/a%2eb", "/a.b"),
        ("/%41", "/A"),
        ("/...", "/..."),
        ("/a:b@c!$&'()*+,=~", "/a:b@c!$&'()*+,=~"),
    ],
)
def test_a_path_is_decoded_once(text: str, clean: str) -> None:
    assert clean_url_path(text) == clean


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begin with"),
        ("*", "begin with"),
        ("/a/..", "segment"),
        ("/a/%2E%2e/b", "segment"),
        ("/./a", "segment"),
        ("/a//b", "'//'"),
        ("/a%2fb", "encoded '/'"),
        ("/a%5Cb", "encoded"),
        ("/a%252e", "encoded '%'"),
        ("/a%3Bb", "encoded ';'"),
        ("/a;b", "servers differ"),
        ("/a\\b", "servers differ"),
        ("/a%", "encodes nothing"),
        ("/a%2", "encodes nothing"),
        ("/a%zz", "encodes nothing"),
        ("/%ff", "UTF-8"),
        ("/%c0%ae", "UTF-8"),
        ("/%00", "control"),
        ("/%e2%80%ae", "control"),
        ("/%ef%bc%8f", "look-alike"),
        ("/%e2%80%a5", "look-alike"),
        ("/a b", "percent-encoded"),
        ("/é", "percent-encoded"),
        ("/\ud800", "percent-encoded"),
        ("/" + "a" * MAX_PATH, "more than 8192"),
    ],
)
def test_a_path_with_two_readings_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        clean_url_path(text)


@given(st.text(max_size=30))
def test_a_path_that_passes_is_what_anyone_decodes(text: str) -> None:
    encoded = "/" + quote(text, safe="/", errors="replace")
    try:
        clean = clean_url_path(encoded)
    except Refused:
        return
    # Once or twice decoded, it is the same: nobody further on can see another path.
    assert clean == unquote(encoded) == unquote(clean)


def test_a_method_is_a_token_as_it_is() -> None:
    assert clean_method("get") == "get"
    for text in ("", "GET ", "G\0T", "GÉT", "A" * 33):
        with pytest.raises(Refused, match="token"):
            clean_method(text)


def test_a_query_has_no_bare_control_characters() -> None:
    assert clean_query("a=%0a&b[]=c?") == "a=%0a&b[]=c?"
    for text in ("a\nb", "a#b", "é", " "):
        with pytest.raises(Refused, match="percent-encoded"):
            clean_query(text)
