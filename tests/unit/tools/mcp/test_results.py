"""What agents get of a stranger's answer."""

from __future__ import annotations

from typing import Any

import mcp_types as types

from stockade.tools.mcp.results import to_result
from stockade.tools.mcp.schemas import Schema

_SUM = Schema({"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]})


def _answer(*content: dict[str, Any], **rest: Any) -> types.CallToolResult:
    return types.CallToolResult.model_validate({"content": list(content), **rest})


def _text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_text_is_passed_on_up_to_the_bound() -> None:
    assert to_result(_answer(_text("a"), _text("b")), None, 100).text == "a\nb"
    assert to_result(_answer(_text("x" * 200)), None, 100).text == "x" * 100 + "\n[... cut]"
    assert to_result(_answer(_text("no"), isError=True), _SUM, 100).failed
    many = to_result(_answer(*[_text("x")] * 300), None, 1000)
    assert many.text.endswith("[44 more parts, not passed on]")


def test_what_is_not_text_is_named_alone() -> None:
    answer = _answer(
        {"type": "image", "data": "AAAA", "mimeType": "image/png\x1b"},
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "resource_link", "name": "n", "uri": "file:///x\x1b"},
        {"type": "resource", "resource": {"uri": "a:b", "text": "inside"}},
        {"type": "resource", "resource": {"uri": "a:b", "blob": "AAAA"}},
    )
    assert to_result(answer, None, 1000).text.splitlines() == [
        "[image/png�, not passed on]",
        "[audio/wav, not passed on]",
        "[a link to file:///x�]",
        "inside",
        "[a file, of no type, not passed on]",
    ]


def test_data_is_held_to_the_schema() -> None:
    good = to_result(_answer(_text("3"), structuredContent={"sum": 3}), _SUM, 100)
    assert (good.text, good.data, good.failed) == ("3", {"sum": 3}, False)
    for data in ({"sum": "3"}, {}, None, [1]):
        bad = to_result(_answer(_text("3"), structuredContent=data), _SUM, 100)
        assert bad.failed
        assert "outputSchema" in bad.text
        assert bad.data is None
    long = to_result(_answer(structuredContent={"sum": 1, "x": "x" * 200}), _SUM, 100)
    assert long.failed


def test_data_that_nobody_promised_is_text() -> None:
    found = to_result(_answer(structuredContent={"a": "\ud800"}), None, 100)
    assert (found.text, found.data) == ('{"a": "?"}', None)


def test_no_part_of_data_is_beyond_encoding() -> None:
    answer = _answer(structuredContent={"sum": 1, "x\ud800": ["\udfff", None]})
    assert to_result(answer, _SUM, 100).data == {"sum": 1, "x?": ["?", None]}
