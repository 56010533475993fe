"""What a third party's tool answers, as agents get it: text of bounded size, and checked data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import mcp_types as types

from stockade.tools.base import Result
from stockade.tools.mcp.text import cut, printable, well_formed

if TYPE_CHECKING:
    from stockade.tools.mcp.schemas import Schema

_MAX_BLOCKS = 256


def to_result(answer: types.CallToolResult, schema: Schema | None, most: int) -> Result:
    """Make a result of ``answer``: at most ``most`` bytes, data only as ``schema`` promises it.

    Pictures, sound and files are named and not passed on: nothing here could look into them.
    """
    texts = [_text(block) for block in answer.content[:_MAX_BLOCKS]]
    if len(answer.content) > _MAX_BLOCKS:
        texts.append(f"[{len(answer.content) - _MAX_BLOCKS} more parts, not passed on]")
    data: Any = answer.structured_content
    if answer.is_error or schema is None:
        if not texts and data is not None:
            texts = [json.dumps(data, ensure_ascii=False)]
        return Result(cut("\n".join(texts), most), failed=answer.is_error)
    if not isinstance(data, dict):
        return Result("its answer lacks the data that its outputSchema promises", failed=True)
    if problem := schema.problem(data):
        return Result(f"its answer is not what its outputSchema promises: {problem}", failed=True)
    written = json.dumps(data, ensure_ascii=True)
    if len(written) > most:
        return Result(f"its answer has more data than the {most} bytes allowed", failed=True)
    return Result(cut("\n".join(texts) or written, most), data=_clean(data))


def _clean(value: Any) -> Any:
    """The value with every text in it fit to be encoded; its depth is bounded by its reader."""
    match value:
        case str():
            return well_formed(value)
        case list():
            return [_clean(part) for part in value]
        case dict():
            return {well_formed(key): _clean(part) for key, part in value.items()}
    return value


def _text(block: types.ContentBlock) -> str:
    match block:
        case types.TextContent():
            return block.text
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return resource.text
        case types.EmbeddedResource(resource=resource):
            return f"[a file, {printable(resource.mime_type or 'of no type', 80)}, not passed on]"
        case types.ResourceLink():
            return f"[a link to {printable(str(block.uri), 1000)}]"
        case types.ImageContent() | types.AudioContent():
            return f"[{printable(block.mime_type, 80)}, not passed on]"
