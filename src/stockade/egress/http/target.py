"""Whether a request's target means the same to everybody who reads it.

Servers, proxies and frameworks differ in when they decode, merge and resolve what a path contains
(RFC 3986, 6.2.2). A path that they may read in two ways could pass as the one and be served as the
other, so it goes nowhere. An encoded slash alone is let through as it is: names of npm packages
have one.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

MAX_TARGET = 32 * 1024

_PLAIN = re.compile(r"[!\"$-~]+")  # visible ASCII but "#"
_FAULTS = {
    "a backslash": re.compile(rb"\\"),
    "a control character": re.compile(rb"[\x00-\x1f\x7f]"),
    # What follows a semicolon is a parameter to some servers, who then resolve "..;" as "..".
    "a dot segment": re.compile(rb"/\.\.?(?:[/;]|$)"),
    "an empty segment": re.compile(rb"//"),
}
_DECODINGS = 3  # %25252e is a dot to whoever decodes three times


def split(target: str) -> tuple[str, str]:
    """Divide a target into path and query."""
    path, _, query = target.partition("?")
    return path, query


def fault_of(target: str) -> str:
    """Say what is wrong with a target, or "" if nothing is; the words are shown to the guest."""
    if len(target) > MAX_TARGET:
        return f"a path and query of more than {MAX_TARGET} characters"
    if not target.startswith("/"):
        return "a target that does not begin with a slash"
    if not _PLAIN.fullmatch(target):
        return "a character in the target that has to be percent-encoded"
    path, _ = split(target)
    return _fault_of_path(path)


def _fault_of_path(path: str) -> str:
    if "." not in path and "%" not in path and "\\" not in path and "//" not in path:
        return ""  # nothing that could be read differently; this is most of them
    plain = path.encode("ascii")
    for _ in range(_DECODINGS + 1):
        for what, pattern in _FAULTS.items():
            if pattern.search(plain):
                return f"{what} in the path"
        decoded = unquote_to_bytes(plain)
        if decoded == plain:
            return ""
        plain = decoded
    return "percent-encoding over percent-encoding in the path"
