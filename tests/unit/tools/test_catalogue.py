from __future__ import annotations

from jsonschema import Draft202012Validator

from stockade.model.tools import BUILT_IN
from stockade.tools.catalogue import TOOLS


def test_the_tools_are_those_that_the_policy_knows() -> None:
    assert set(TOOLS) == set(BUILT_IN)


def test_what_the_policy_decides_on_is_an_argument_that_is_always_there() -> None:
    for name, known in BUILT_IN.items():
        arguments = TOOLS[name].description.arguments
        for argument in (*known.paths, *(["argv"] if known.commands else [])):
            rule = arguments["properties"][argument]
            assert argument in arguments["required"] or "default" in rule


def test_descriptions_are_whole_and_their_schemas_valid() -> None:
    for name, tool in TOOLS.items():
        description = tool.description
        assert (description.name, bool(description.title and description.text)) == (name, True)
        assert {"readOnlyHint", "openWorldHint"} <= set(description.hints)
        for schema in (description.arguments, description.result):
            if schema is not None:
                Draft202012Validator.check_schema(schema)
                assert schema["additionalProperties"] is False
