from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stockade.policy.profileschema import profile_schema

_ROOT = Path(__file__).parents[3]
_PUBLISHED = _ROOT / "docs/reference/profile.schema.json"


def test_the_published_schema_is_fresh() -> None:
    published = json.loads(_PUBLISHED.read_text(encoding="utf-8"))
    assert published == profile_schema(), "run: stockade policy schema > " + _PUBLISHED.name


def test_it_is_a_schema_of_2020_12_that_refuses_unknown_keys() -> None:
    schema = profile_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"filez": []}, schema)


def test_every_key_is_explained() -> None:
    schema = profile_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            assert field.get("description"), name


@pytest.mark.parametrize("path", sorted((_ROOT / "profiles").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_examples_fit_it(path: Path) -> None:
    data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.validate(data, profile_schema())
