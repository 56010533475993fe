from __future__ import annotations

from stockade.policy.refusal import Refused


def test_a_refusal_says_what_is_wrong_and_what_would_be_right() -> None:
    refusal = Refused("an empty path", "Write the whole path.")
    assert (str(refusal), refusal.hint) == ("an empty path", "Write the whole path.")
