"""The few forms in which everything of Envoy's configuration is written."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def typed(message: str, /, **fields: object) -> Json:
    """A message whose type is told with it (google.protobuf.Any in JSON)."""
    return {"@type": f"type.googleapis.com/{message}", **fields}


def extension(name: str, message: str, /, **fields: object) -> Json:
    """An extension by its name, and its configuration."""
    return {"name": name, "typed_config": typed(message, **fields)}


def seconds(time: float) -> str:
    """A google.protobuf.Duration in JSON."""
    return f"{time:.3f}s"
