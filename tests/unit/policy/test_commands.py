from __future__ import annotations

import pytest

from stockade.policy.commands import CommandPattern, clean_command
from stockade.policy.refusal import Refused


@pytest.mark.parametrize(
    ("pattern", "argv", "fits"),
    [
        ("git log", ["git", "log"], True),
        ("git log", ["git", "log", "-p"], False),
        ("git log", ["git log"], False),
        ("git log", ["git"], False),
        ("pytest **", ["pytest"], True),
        ("pytest **", ["pytest", "a", "../b", "-c"], True),
        ("pytest -k 'a b'", ["pytest", "-k", "a b"], True),
        ("cat docs/*", ["cat", "docs/a"], True),
        ("cat docs/*", ["cat", "docs/.."], False),
        ("ls src/**", ["ls", "src/a/b"], True),
        ("ls src/**", ["ls", "src/../.."], False),
        ("''", [""], True),
        ("**", ["sh"], False),
    ],
)
def test_commands_are_matched_word_by_word(pattern: str, argv: list[str], fits: bool) -> None:
    assert CommandPattern(pattern).matches(argv) is fits


def test_an_open_quote_is_no_pattern() -> None:
    with pytest.raises(ValueError, match="quotation"):
        CommandPattern("pytest 'a")


def test_the_words_of_a_command_are_given() -> None:
    assert clean_command(["a", ""]) == ["a", ""]
    assert clean_command(("a",)) == ["a"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not a list"),
        ("git log", "not a list"),
        ([], "not a list"),
        ([1], "not a word"),
        (["a", None], "not a word"),
        ([""], "without a name"),
        (["a\0"], "NUL"),
        (["a"] * 1025, "more than 1024 words"),
        (["a" * 131072], "more than 128KiB"),
        (["\ud800"], "Unicode"),
    ],
)
def test_what_is_no_command_is_refused(value: object, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        clean_command(value)
