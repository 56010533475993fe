"""The target of an HTTP request, where any two servers could read it in two ways: a refusal.

A path is decided on as its text once percent-decoded (RFC 3986, section 2.1). What a server, or
something before it, might decode twice, cut, join or resolve is refused rather than guessed at.
"""

from __future__ import annotations

import re
import unicodedata

from stockade.model.wording import quote
from stockade.policy.refusal import Refused

MAX_PATH = 8192
"""Characters of a path; RFC 9110, section 4.1 asks servers for 8,000 at least."""
_METHOD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}")  # RFC 9110, section 5.6.2: token
_VISIBLE = re.compile(r"[!-~]*")
_RUN = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SPECIAL = "/\\%;?#."


def clean_method(text: str) -> str:
    """Give a method as it is: they are case-sensitive (RFC 9110, section 9.1)."""
    if not _METHOD.fullmatch(text):
        raise Refused(f"method {quote(text)}, which is not a token", "Write GET, POST and so on.")
    return text


def clean_query(text: str) -> str:
    """Give a query as it is; it is not decoded, for no rule of a profile reads it."""
    if not _VISIBLE.fullmatch(text) or "#" in text:
        raise Refused("a query with characters that must be percent-encoded")
    return text


def clean_url_path(text: str) -> str:
    """Give the decoded path."""
    if not text.startswith("/"):
        raise Refused(f"path {quote(text)}, which does not begin with '/'")
    if len(text) > MAX_PATH:
        raise Refused(f"a path of more than {MAX_PATH} characters")
    if not _VISIBLE.fullmatch(text):
        raise Refused(f"path {quote(text)}, which has characters that must be percent-encoded")
    for mark in "\\;?#":
        if mark in text:
            raise Refused(f"path {quote(text)}, which has {mark!r} in it: servers differ on it")
    decoded = _RUN.sub(lambda run: _decode(text, run[0]), text) if "%" in text else text
    if "%" in decoded:
        raise Refused(f"path {quote(text)}, which has a '%' that encodes nothing")
    segments = decoded[1:].split("/")
    if "." in segments or ".." in segments:
        raise Refused(f"path {quote(text)}, which has a segment '.' or '..'")
    if "" in segments[:-1]:
        raise Refused(f"path {quote(text)}, which has '//' in it")
    return decoded


def _decode(path: str, run: str) -> str:
    try:
        text = bytes.fromhex(run.replace("%", "")).decode()
    except UnicodeDecodeError:
        raise Refused(f"path {quote(path)}, which does not encode UTF-8") from None
    for mark in "/\\%;?#":
        if mark in text:
            raise Refused(f"path {quote(path)}, which has an encoded {mark!r}")
    if not text.isprintable():
        raise Refused(f"path {quote(path)}, which encodes control characters")
    folded = unicodedata.normalize("NFKC", text)
    # A server that folds look-alikes would see a slash or a dot that is not there.
    if any(folded.count(mark) != text.count(mark) for mark in _SPECIAL):
        raise Refused(f"path {quote(path)}, which encodes a look-alike of a special character")
    return text
