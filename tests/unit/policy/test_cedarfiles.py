from __future__ import annotations

import pytest

from stockade.policy.cedarfiles import names_agents, permits

_FORBID = "forbid (principal, action, resource);"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", False),
        (_FORBID, False),
        (f"{_FORBID} permit (principal, action, resource);", True),
        ("permit (principal == ?principal, action, resource);", True),
        ("not cedar", True),
    ],
)
def test_whether_a_file_allows_anything(text: str, answer: bool) -> None:
    assert permits(text) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (_FORBID, False),
        ('forbid (principal == Agent::"a", action, resource);', True),
        ('forbid (principal, action, resource) when { principal == Agent::"a" };', True),
        ("not cedar", True),
    ],
)
def test_whether_a_file_is_about_certain_agents(text: str, answer: bool) -> None:
    assert names_agents(text) is answer
