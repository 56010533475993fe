from __future__ import annotations

import re
from pathlib import Path

from stockade.policy import schema
from stockade.policy.facts import ACTIONS
from stockade.policy.filerules import read_cedar


def test_every_action_is_in_it() -> None:
    assert tuple(re.findall(r'^action "(\w+)"', schema.TEXT, re.MULTILINE)) == ACTIONS
    assert schema.schema() is schema.schema()


def test_it_is_the_one_that_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs/reference/cedar.md"
    assert schema.TEXT in page.read_text(encoding="utf-8")


def test_the_example_of_the_documentation_is_valid() -> None:
    page = Path(__file__).parents[3] / "docs/reference/cedar.md"
    (example,) = re.findall(r"^```\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(read_cedar("cedar.md", example, "any")) == 3
