"""The words that errors share: values quoted in bounded length, and the nearest valid name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

_QUOTED = 40


def quote(value: object) -> str:
    """Show a value as Python would, in one line of bounded length."""
    if value is None or isinstance(value, bool):
        # The words of the document the value came from, not of the language this is written in.
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, int | float | str):
        # Cut before repr: it would otherwise walk all of a value that is megabytes long. Integers
        # are not cut by str, which refuses those beyond 4,300 digits.
        text = value if isinstance(value, str) else _number(value)
        shown = text if len(text) <= _QUOTED else text[:_QUOTED] + "..."
        return repr(shown) if isinstance(value, str) else shown
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else type(value).__name__


def _number(value: float) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 70 digits"
    return str(value)


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """Give ``; did you mean 'files'?`` for the nearest valid name, or nothing."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    # Comparing takes time with the square of the length, and nobody mistypes a name by so much.
    near = difflib.get_close_matches(word[:64].lower(), list(valid), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def place(location: Iterable[int | str]) -> str:
    """Write a path into a document as its author would: ``files[0].guest``."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step != "[key]":  # pydantic's mark for "the key, not its value"
            text += f".{step}" if text else step
    return text if len(text) <= 120 else text[:120] + "..."


def explain(detail: ErrorDetails) -> str:
    """Say in one line what pydantic found wrong with one value, without naming the place."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "is missing"
    wanted = {
        "string_type": "must be text",
        "string_unicode": "must be valid Unicode text",
        "model_type": "must be a mapping of keys to values",
        "model_attributes_type": "must be a mapping of keys to values",
        "dict_type": "must be a mapping of names to values",
        "tuple_type": "must be a list",
        "int_type": "must be a whole number",
        "greater_than": f"must be more than {context.get('gt')}",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "too_short": f"must have at least {context.get('min_length')}",
        "string_too_short": f"must have at least {context.get('min_length')} characters",
        "literal_error": f"must be {context.get('expected')}",
        "enum": f"must be {context.get('expected')}",
        "too_long": f"must have at most {context.get('max_length')} entries",
        "string_too_long": f"must have at most {context.get('max_length')} characters",
        "string_pattern_mismatch": f"must match {context.get('pattern')}",
    }.get(kind)
    if wanted is None:
        return detail["msg"]
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"{wanted}, not {quote(value)}; write it in quotes"
    return wanted if kind in {"too_long", "too_short"} else f"{wanted}, not {quote(value)}"
