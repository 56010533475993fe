"""The JSON Schema of profiles, which editors use to complete and check them."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from stockade.model.document import ProfileDocument


def profile_schema() -> dict[str, Any]:
    """The schema of what stands in a file, in JSON Schema 2020-12."""
    schema = ProfileDocument.model_json_schema(by_alias=True)
    schema.pop("title"), schema.pop("description")
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "Stockade profile",
        "description": "What one agent may do. What it does not name, it does not allow.",
        **schema,
    }
