from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.policy.globs import matches
from stockade.policy.patterns import MAX_STEPS, covers, fits, overlap

_GLOBS = st.lists(
    st.sampled_from(["a", "b", "/", "*", "?", "**", "/**", "**/", "."]), max_size=6
).map("".join)
_TEXTS = st.text(alphabet="ab/.", max_size=8)


def _meant(glob: str) -> bool:
    return all("**" not in part or part == "**" for part in glob.split("/"))


@pytest.mark.parametrize(
    ("wide", "narrow", "answer"),
    [
        (["/workspace/**"], "/workspace/src/**", True),
        (["/workspace/**"], "/workspace", True),
        (["/workspace/**"], "/workspace/*.py", True),
        (["/workspace/*"], "/workspace/**", False),
        (["/workspace/**"], "/workspace-2/**", False),
        (["/a/**", "/b/**"], "/b/c", True),
        (["/a/*", "/a/*/**"], "/a/*/x", True),
        (["/?"], "/a", True),
        (["/?"], "/*", False),
        (["/a/**/b"], "/a/b", True),
        (["/a/**/b"], "/a/x/y/b", True),
        (["/a*"], "/a?", True),
        (["*"], "a/b", False),
        (["**"], "a/b", True),
        (["*"], ".", False),
        (["."], ".", True),
        ([], "/a", False),
    ],
)
def test_whether_one_covers_another(wide: list[str], narrow: str, answer: bool) -> None:
    assert covers(wide, narrow) is answer


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("/a/**", "/**/b", True),
        ("/a/*", "/b/*", False),
        ("/a?", "/*b", True),
        ("/a", "/a/**", True),
        ("/*.py", "/*.txt", False),
    ],
)
def test_whether_two_have_a_text_in_common(one: str, other: str, answer: bool) -> None:
    assert overlap([one], [other]) is answer
    assert overlap([other], [one]) is answer


@given(_GLOBS.filter(_meant), _GLOBS.filter(_meant), st.lists(_TEXTS, max_size=20))
def test_what_is_covered_is_never_more(wide: str, narrow: str, texts: list[str]) -> None:
    covered = covers([wide], narrow)
    common = overlap([wide], [narrow])
    for text in texts:
        both = matches(wide, text), matches(narrow, text)
        assert not (covered and both[1] and not both[0]), text
        assert common or not all(both), text


@given(_GLOBS.filter(_meant), _TEXTS)
def test_patterns_fit_as_the_policy_has_it(glob: str, text: str) -> None:
    if not {".", ".."} & set(text.split("/")):
        assert fits(glob, text) is matches(glob, text)


def test_what_is_too_hard_is_not_covered() -> None:
    hard = "/" + "a?*" * 300
    assert len(hard) * 3 < MAX_STEPS
    assert not covers(["/" + "*a?" * 300], hard)
    assert overlap(["/" + "*a?" * 300], [hard])
