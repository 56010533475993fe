"""Pins: the tool definitions of third parties' servers that a person has accepted.

They are kept beside the profile, as ``codefix.mcp-lock.json`` for ``codefix.yaml``, whole, so that
a review of the repository shows what agents are told, and every clone is held to the same.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stockade.model.errors import StockadeError
from stockade.tools.mcp.definitions import Definition, DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES: Final = 16 * 1024 * 1024
_VERSION: Final = 1

Pins = dict[str, dict[str, Definition]]
"""Server to tool to definition."""


def pins_path(profile: Path) -> Path:
    """Where the pins of a profile are kept."""
    return profile.with_suffix(".mcp-lock.json")


def read_pins(path: Path) -> Pins:
    """The pins of a profile, none if nothing was ever accepted; ``StockadeError`` if unsound."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StockadeError(f"cannot read {path}: {error.strerror}") from None
    try:
        return _parse(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else "it is not a file of pins"
        raise StockadeError(
            f"{path}: {why}", hint="Restore it, or remove it and accept the tools again."
        ) from None


def write_pins(path: Path, pins: Mapping[str, Mapping[str, Definition]]) -> None:
    """Put the file in place at once, so that no reader finds half of it."""
    document = {
        "version": _VERSION,
        "servers": {
            server: {
                name: {"sha256": tool.digest, "definition": tool.parts}
                for name, tool in sorted(tools.items())
            }
            for server, tools in sorted(pins.items())
        },
    }
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True) + "\n"
    try:
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(text)
                os.fchmod(fd, 0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StockadeError(f"cannot write {path}: {error.strerror}") from None


def _parse(text: bytes) -> Pins:
    if len(text) > MAX_BYTES:
        raise ValueError("it is too large")
    document = json.loads(text)
    if document["version"] != _VERSION:
        raise ValueError("it is of another version")
    return {
        server: {name: _pin(name, entry) for name, entry in tools.items()}
        for server, tools in document["servers"].items()
    }


def _pin(name: str, entry: Mapping[str, Any]) -> Definition:
    try:
        definition = Definition.read(entry["definition"])
    except DefinitionError as error:
        raise ValueError(f"{name!r:.80}: {error}") from None
    if definition.name != name or definition.digest != entry["sha256"]:
        raise ValueError(f"{name!r:.80} is not what its digest says")
    return definition
