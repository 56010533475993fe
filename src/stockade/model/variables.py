"""Variables of an environment, as they are written in profiles."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from stockade.model.wording import quote


def encodable(text: str) -> str:
    """Refuse a lone surrogate, which is legal in a Python string and cannot be sent anywhere."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{quote(text)} is not valid Unicode text")
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


VariableName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=255)]
VariableText = Annotated[str, AfterValidator(encodable), AfterValidator(_no_nul)]
