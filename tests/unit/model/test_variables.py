from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stockade.model.variables import VariableName, VariableText


@pytest.mark.parametrize("name", ["A", "_a1", "PATH"])
def test_names(name: str) -> None:
    assert TypeAdapter(VariableName).validate_python(name) == name


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (VariableName, ""),
        (VariableName, "1A"),
        (VariableName, "A-B"),
        (VariableName, "A\n"),
        (VariableText, "\0"),
        (VariableText, "\ud800"),
    ],
)
def test_what_no_environment_can_hold(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(text)
