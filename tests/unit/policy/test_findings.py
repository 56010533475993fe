from __future__ import annotations

import re

from stockade.policy.findings import KINDS


def test_kinds_are_named_as_rules_of_sarif_are() -> None:
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", name) for name in KINDS)
    assert {kind.error for kind in KINDS.values()} == {True, False}
