"""JSON Schemas by third parties, made safe to evaluate on the host.

What is evaluated is a weaker schema made of theirs: whatever theirs accepts, it accepts. It has no
regular expressions (Python's can be made to run for ever), no references (they can double at every
step, or name a host) and no keyword that turns a weaker part into a stronger whole. What it lets
through that theirs would not is for their own server to refuse; what an agent may do at all is for
the profile to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry

from stockade.tools.mcp.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH: Final = 24
MAX_NODES: Final = 2_000
MAX_WORK: Final = 1_000_000
"""Parts of a schema times parts of a value, which is the most comparisons that there can be."""

_PLAIN: Final = frozenset({
    "type", "enum", "const", "required", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties",
})  # fmt: skip
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_ANYTHING: Final[dict[str, Any]] = {}


class SchemaError(Exception):
    """A schema that is none, or too large to be checked against; the message says which."""


class Schema:
    """A schema that values can be checked against at a bounded cost."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._nodes = 0
        self.weaker = self._weaken(schema, 0, ())
        try:
            Draft202012Validator.check_schema(self.weaker)
        except Exception as error:  # noqa: BLE001 - whatever its validator says of a stranger's words
            raise SchemaError(f"not a JSON Schema ({type(error).__name__})") from None
        self._validator = Draft202012Validator(self.weaker, registry=Registry())

    def problem(self, value: object) -> str:
        """Say in one line what is wrong with ``value``, or nothing."""
        if _count(value, MAX_WORK) * self._nodes > MAX_WORK:
            return "it is too large to be checked"
        try:
            error = next(self._validator.iter_errors(value), None)
        except Exception as failure:  # noqa: BLE001 - such as a number that is too large to divide
            return f"it cannot be checked ({type(failure).__name__})"
        if error is None:
            return ""
        place = "".join(f"[{step!r:.40}]" for step in list(error.absolute_path)[:8])
        return printable(f"{place}: {error.message[:300]}" if place else error.message[:300])

    def _weaken(self, schema: object, depth: int, inside: tuple[str, ...]) -> dict[str, Any] | bool:
        self._take(1)
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise SchemaError("not a JSON Schema")
        if depth > MAX_DEPTH:
            return _ANYTHING
        made: dict[str, Any] = {}
        for key in _PLAIN & schema.keys():
            self._take(_count(schema[key], MAX_NODES))
            made[key] = schema[key]
        self._weaken_parts(schema, made, depth + 1, inside)
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in inside:
            target = self._weaken(self._resolve(reference), depth + 1, (*inside, reference))
            made.setdefault("allOf", []).append(target)
        return made

    def _take(self, parts: int) -> None:
        self._nodes += parts
        if self._nodes > MAX_NODES:
            raise SchemaError(f"a schema of more than {MAX_NODES} parts")

    def _weaken_parts(
        self, schema: dict[str, Any], made: dict[str, Any], depth: int, inside: tuple[str, ...]
    ) -> None:
        if isinstance(properties := schema.get("properties"), dict):
            made["properties"] = {
                name: self._weaken(part, depth, inside) for name, part in properties.items()
            }
        if "additionalProperties" in schema and "patternProperties" not in schema:
            made["additionalProperties"] = self._weaken(
                schema["additionalProperties"], depth, inside
            )
        if isinstance(schema.get("items"), dict | bool):
            made["items"] = self._weaken(schema["items"], depth, inside)
        for key in _LISTS:
            parts = schema.get(key)
            if isinstance(parts, list) and parts:
                weaker = [self._weaken(part, depth, inside) for part in parts]
                # Of parts that are weaker, more than one may hold.
                if key == "oneOf":
                    made.setdefault("allOf", []).append({"anyOf": weaker})
                elif key == "allOf":
                    made.setdefault("allOf", []).extend(weaker)
                else:
                    made[key] = weaker

    def _resolve(self, reference: str) -> object:
        """What a reference within the document leads to; anything, if it leads elsewhere."""
        if reference == "#":
            return self._root
        if not reference.startswith("#/"):
            return _ANYTHING
        found: object = self._root
        for step in reference[2:].split("/")[:MAX_DEPTH]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name, _ANYTHING) if isinstance(found, dict) else _ANYTHING
        return found


def _count(value: object, most: int) -> int:
    """How many parts a JSON value has, counting no further than ``most``."""
    parts, waiting = 0, [value]
    while waiting and parts <= most:
        part = waiting.pop()
        parts += 1
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return parts
