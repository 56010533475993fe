from __future__ import annotations

from stockade.tools.read_file import DESCRIPTION, run
from stockade.tools.tool import Tool, schema


def test_a_tool_is_called_by_the_name_in_its_description() -> None:
    assert Tool(DESCRIPTION, run).name == "read_file"


def test_a_schema_takes_no_other_properties() -> None:
    made = schema({"a": {}, "b": {}})
    assert (made["required"], made["additionalProperties"]) == (["a", "b"], False)
    assert schema({"a": {}, "b": {}}, required=("b",))["required"] == ["b"]
