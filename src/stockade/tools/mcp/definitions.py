"""A tool of a third party's server: what is shown of it to agents, and so what is pinned.

The digest is SHA-256 over the definition in canonical JSON. That is RFC 8785 for all that tools
define in practice; numbers that are not integers are written as Python does.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from stockade.tools.mcp.schemas import Schema, SchemaError
from stockade.tools.mcp.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BYTES: Final = 64 * 1024
"""Bytes of one definition in canonical JSON."""
NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_PARTS: Final = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
_HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


class DefinitionError(Exception):
    """A definition that no agent may be shown; the message says why."""


@dataclass(frozen=True)
class Definition:
    """A definition as a value: ``parts`` are those of MCP's ``Tool`` that agents are shown."""

    parts: Mapping[str, Any]

    @classmethod
    def read(cls, tool: Mapping[str, Any]) -> Definition:
        """Take what is kept of a tool as a server lists it, checked and bounded."""
        parts = {key: tool[key] for key in _PARTS if tool.get(key) is not None}
        hints = parts.get("annotations", {})
        if not isinstance(hints, dict):
            raise DefinitionError("annotations are not an object")
        parts["annotations"] = {
            key: hints[key] for key in _HINTS if isinstance(hints.get(key), bool)
        }
        name = parts.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise DefinitionError("its name has other characters than letters, digits, _ - .")
        for key in ("title", "description"):
            if not isinstance(parts.get(key, ""), str):
                raise DefinitionError(f"its {key} is not text")
        made = cls(parts)
        if len(made.canonical) > MAX_BYTES:
            raise DefinitionError(f"it is larger than {MAX_BYTES // 1024}KiB")
        for key in ("inputSchema", "outputSchema"):
            made.schema(key)
        return made

    @property
    def name(self) -> str:
        """The tool's name on its own server."""
        return str(self.parts["name"])

    @property
    def canonical(self) -> bytes:
        """The definition in canonical JSON; ``DefinitionError`` if it cannot be written so."""
        try:
            return json.dumps(
                self.parts,
                sort_keys=True,
                separators=(",", ":"),
                ensure_ascii=False,
                allow_nan=False,
            ).encode()
        except (ValueError, RecursionError):
            raise DefinitionError("it holds what is not JSON") from None

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical).hexdigest()

    def schema(self, key: str) -> Schema | None:
        """The schema under ``inputSchema`` or ``outputSchema``, fit to check against."""
        if key not in self._schemas:
            self._schemas[key] = self._compile(key)
        return self._schemas[key]

    @cached_property
    def _schemas(self) -> dict[str, Schema | None]:
        return {}

    def _compile(self, key: str) -> Schema | None:
        found = self.parts.get(key)
        if found is None and key == "outputSchema":
            return None
        if not isinstance(found, dict):
            raise DefinitionError(f"its {key} is not an object")
        if found.get("type") != "object":
            raise DefinitionError(f'its {key} is not of type "object"')
        try:
            return Schema(found)
        except SchemaError as error:
            raise DefinitionError(f"its {key} is {error}") from None

    def show(self) -> list[str]:
        """The definition in lines that are safe to print."""
        # ensure_ascii shows what looks like other letters, or like nothing, for what it is.
        text = json.dumps(self.parts, indent=2, sort_keys=True, ensure_ascii=True)
        return [printable(line, MAX_BYTES) for line in text.splitlines()]

    def changes_from(self, other: Definition) -> Iterator[str]:
        """The lines of a diff from ``other`` to this, safe to print."""
        return difflib.unified_diff(other.show(), self.show(), "accepted", "now", lineterm="", n=1)

    def changed_parts(self, other: Definition) -> list[str]:
        """The names of the parts in which the two differ; they are ours and safe to say."""
        return [key for key in _PARTS if self.parts.get(key) != other.parts.get(key)]
