from __future__ import annotations

from stockade.policy.rules import shortened


def test_lists_are_bounded() -> None:
    assert shortened(["a", "b"]) == "a, b"
    assert shortened(["a"] * 6, 2) == "a, a and 4 more"
    assert len(shortened(["a" * 5000])) < 100
