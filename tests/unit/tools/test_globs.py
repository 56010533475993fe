from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.policy.globs import matches
from stockade.tools.globs import expression


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("/a/**", "/a", True),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/ab", False),
        ("/a/*.py", "/a/x.py", True),
        ("/a/*.py", "/a/b/x.py", False),
        ("/a/**/x", "/a/x", True),
        ("/a/?", "/a/b", True),
        ("/a/?", "/a/bc", False),
        ("/**", "/", True),
        ("/**", "/x", True),
        ("/a.b", "/axb", False),
        ("/a", "/a\n", False),
    ],
)
def test_globs_mean_what_profiles_say(glob: str, path: str, expected: bool) -> None:
    assert bool(re.fullmatch(expression([glob]), path)) is expected


_SEGMENT = st.text("ab.*?", min_size=1, max_size=4).filter(lambda text: "**" not in text)
_NAME = st.text("ab.\n", min_size=1, max_size=4).filter(lambda text: text not in (".", ".."))


@given(
    st.lists(_SEGMENT | st.just("**"), min_size=1, max_size=4),
    st.lists(_NAME, max_size=4),
)
def test_they_mean_what_they_mean_to_the_policy(segments: list[str], names: list[str]) -> None:
    glob, path = "/" + "/".join(segments), "/" + "/".join(names)
    assert bool(re.fullmatch(expression([glob]), path)) is matches(glob, path)


def test_one_of_several_is_enough() -> None:
    several = expression(["/a", "/b/*"])
    assert re.fullmatch(several, "/a")
    assert re.fullmatch(several, "/b/x")
    assert not re.fullmatch(several, "/a/x")
