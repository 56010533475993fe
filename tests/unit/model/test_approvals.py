from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stockade.model.approvals import ApprovalRule


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "tool:make_patch", "expires": "30m"},
        {"action": "http:*", "host": "*.a.org"},
        {"action": "connect:tcp", "host": "db"},
        {"action": "model:anthropic/claude-*"},
    ],
)
def test_approvals_are_read(fields: dict[str, Any]) -> None:
    assert ApprovalRule.model_validate(fields).action == fields["action"]


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"action": "POST"}, "begin it with tool:, http:, connect:, model:"),
        ({"action": "tols:x"}, "did you mean 'tool'"),
        ({"action": "run:x"}, "is not an action"),
        ({"action": "http:"}, "must name what is asked about"),
        ({"action": "http:GET https://x"}, "must name what is asked about"),
        ({"action": "tool:x", "host": "a.org"}, "a tool has no host"),
        ({"action": "model:x", "host": "a.org"}, "a model has no host"),
        ({"action": "http:GET", "host": "a.org/x"}, "paths go under"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ApprovalRule.model_validate(fields)
    assert advice in caught.value.errors()[0]["msg"]
