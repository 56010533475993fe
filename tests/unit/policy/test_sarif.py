from __future__ import annotations

from typing import Any

import jsonschema

from stockade.policy.findings import KINDS
from stockade.policy.sarif import sarif
from stockade.policy.yamltree import Problem

_FOUND = {
    "./a b.yaml": [Problem(2, 5, "x", "Do y.", "any-host"), Problem(3, 1, "z", "", "yaml")],
    "/c/\N{SNOWMAN}.yaml": [Problem(1, 1, "x", "Do y.", "any-host")],
    "d.yaml": [],
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


# The parts of the SARIF 2.1.0 schema that are used here: sections 3.13, 3.14, 3.19, 3.27, 3.49.
_MESSAGE = _object(["text"], text={"type": "string", "minLength": 1})
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_LINE = {"type": "integer", "minimum": 1}
_RULE = _object(
    ["id"],
    id={"type": "string"},
    shortDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_object([], level=_LEVEL),
)
_LOCATION = _object(
    [],
    physicalLocation=_object(
        [],
        artifactLocation=_object([], uri={"type": "string", "pattern": "^[A-Za-z0-9._~/:%-]+$"}),
        region=_object([], startLine=_LINE, startColumn=_LINE),
    ),
)
_RESULT = _object(
    ["message"],
    ruleId={"type": "string"},
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    message=_MESSAGE,
    locations={"type": "array", "items": _LOCATION},
)
_DRIVER = _object(
    ["name"],
    name={"type": "string"},
    semanticVersion={"type": "string"},
    rules={"type": "array", "items": _RULE, "uniqueItems": True},
)
_RUN = _object(
    ["tool"],
    tool=_object(["driver"], driver=_DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": _RESULT},
)
_LOG = _object(
    ["version", "runs"],
    version={"const": "2.1.0"},
    runs={"type": "array", "items": _RUN},
    **{"$schema": {"type": "string"}},
)


def test_a_log_is_what_the_standard_says() -> None:
    jsonschema.validate(sarif(_FOUND, version="0.1.0"), _LOG)
    jsonschema.validate(sarif({}, version="0.1.0"), _LOG)


def test_each_result_names_its_rule_and_place() -> None:
    [run] = sarif(_FOUND, version="0.1.0")["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["any-host", "yaml"]
    assert rules[0]["help"]["text"] == KINDS["any-host"].help
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    first, second, third = run["results"]
    assert (first["level"], second["level"]) == ("warning", "error")
    assert first["message"]["text"] == "x. Do y."
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b.yaml"
    assert place["region"] == {"startLine": 2, "startColumn": 5}
    uri = third["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "file:///c/%E2%98%83.yaml"
