"""Arguments of calls, held to the schema of their tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from stockade.model.wording import did_you_mean, place, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.exceptions import ValidationError


class ArgumentError(Exception):
    """The arguments are not what the tool takes; one line says which one and what it may be."""


def complete(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments with the defaults of missing ones; ``ArgumentError`` if one is wrong."""
    error = best_match(Draft202012Validator(schema).iter_errors(dict(arguments)))
    if error is not None:
        raise ArgumentError(_explain(error))
    given = {
        name: rule["default"] for name, rule in schema["properties"].items() if "default" in rule
    }
    return given | dict(arguments)


def _explain(error: ValidationError) -> str:
    """Say it shortly: jsonschema's own words hold the whole value, however long that is."""
    where = place(error.absolute_path) or "the arguments"
    value: Any = error.instance
    rule: Any = error.validator_value
    declared: Any = error.schema
    match error.validator:
        case "additionalProperties":
            known = list(declared["properties"])
            name = min(set(value) - set(known))
            takes = ", ".join(known) or "no argument"
            text = f"unknown argument {quote(name)}{did_you_mean(name, known)} (it takes {takes})"
        case "required":
            text = f"the argument {next(name for name in rule if name not in value)!r} is missing"
        case "type":
            text = f"{where} must be of type {rule}, not {quote(value)}"
        case "enum":
            text = f"{where} must be one of {', '.join(map(str, rule))}, not {quote(value)}"
        case "maxLength" | "maxItems":
            of = "characters" if error.validator == "maxLength" else "entries"
            text = f"{where} has {len(value)} {of}; {rule} is the most"
        case "minLength" | "minItems":
            text = f"{where} must not be empty"
        case "minimum" | "maximum":
            bound = "least" if error.validator == "minimum" else "most"
            text = f"{where} must be at {bound} {rule}, not {quote(value)}"
        case _:
            text = f"{where} must match {rule}, but is {quote(value)}"
    return text
