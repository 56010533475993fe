"""Text from inside the wall."""

from __future__ import annotations

from stockade.tools.mcp.text import cut, printable, well_formed


def test_what_does_not_print_is_replaced_and_the_rest_bounded() -> None:
    assert printable("a\x1b[2Jb\nc\u202e") == "a�[2Jb�c�"
    assert printable("a\nb", keep="\n") == "a\nb"
    assert len(printable("x" * 1000)) == 500


def test_lone_surrogates_do_not_survive() -> None:
    assert well_formed("a\ud800b") == "a?b"
    assert cut("\udfff", 10) == "?"


def test_a_cut_is_told_and_never_splits_a_character() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("aééé", 4) == "aé\n[... cut]"
