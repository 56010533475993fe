"""Two servers that behave like the APIs of OpenAI and Anthropic, as far as their SDKs can tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

OPENAI_KEY = "sk-proj-real-openai-key-000111222"
ANTHROPIC_KEY = "sk-ant-real-anthropic-key-333444"

CHAT_USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 345,
    "total_tokens": 1545,
    "prompt_tokens_details": {"cached_tokens": 200, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 45, "audio_tokens": 0},
}
RESPONSES_USAGE = {
    "input_tokens": 900,
    "input_tokens_details": {"cached_tokens": 100},
    "output_tokens": 80,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 980,
}
MESSAGES_USAGE = {
    "input_tokens": 50,
    "cache_creation_input_tokens": 1000,
    "cache_read_input_tokens": 4000,
    "output_tokens": 77,
    "service_tier": "standard",
}
_WORDS = ["Contained", " agents", " are", " calm."]


def _events(*events: tuple[str | None, dict[str, Any] | str]) -> Response:
    async def stream() -> AsyncIterator[bytes]:
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            yield (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()

    return StreamingResponse(stream(), media_type="text/event-stream")


def _openai_error(status: int, message: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": error}, status)


class OpenAI:
    """The server; ``seen`` has the bodies that it got."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    async def _body(self, request: Request) -> dict[str, Any] | None:
        if request.headers.getlist("authorization") != [f"Bearer {OPENAI_KEY}"]:
            return None
        body: dict[str, Any] = json.loads(await request.body())
        self.seen.append(body)
        return body

    async def _chat(self, request: Request) -> Response:
        body = await self._body(request)
        if body is None:
            # The real one quotes the key that it got, in part; this one is worse.
            return _openai_error(401, f"Incorrect API key: {request.headers['authorization']}")
        base = {"id": "chatcmpl-1", "created": 1, "model": f"{body['model']}-2024-07-18"}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(_WORDS), "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            return JSONResponse(
                {**base, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE}
            )
        base["object"] = "chat.completion.chunk"
        wanted = (body.get("stream_options") or {}).get("include_usage")
        extra: dict[str, Any] = {"usage": None} if wanted else {}
        chunks: list[tuple[None, dict[str, Any] | str]] = [
            (None, {**base, **extra, "choices": [{"index": 0, "delta": {"content": word}}]})
            for word in _WORDS
        ]
        stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunks.append((None, {**base, **extra, "choices": [stop]}))
        if wanted:
            chunks.append((None, {**base, "choices": [], "usage": CHAT_USAGE}))
        return _events(*chunks, (None, "[DONE]"))

    async def _responses(self, request: Request) -> Response:
        body = await self._body(request)
        assert body is not None
        text = {"type": "output_text", "text": "".join(_WORDS), "annotations": []}
        item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant"}
        done = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": body["model"],
            "status": "completed",
            "output": [{**item, "content": [text]}],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": RESPONSES_USAGE,
        }
        if not body.get("stream"):
            return JSONResponse(done)
        begun = {**done, "status": "in_progress", "output": [], "usage": None}
        delta = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
        deltas: list[dict[str, Any]] = [
            {**delta, "type": "response.output_text.delta", "delta": word, "sequence_number": n}
            for n, word in enumerate(_WORDS, 1)
        ]
        added: dict[str, Any] = {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        }
        part: dict[str, Any] = {
            **delta,
            "type": "response.content_part.added",
            "part": {**text, "text": ""},
        }
        return _events(
            ("response.created", {"type": "response.created", "response": begun}),
            (added["type"], added),
            (part["type"], part),
            *((each["type"], each) for each in deltas),
            ("response.completed", {"type": "response.completed", "response": done}),
        )

    async def _embeddings(self, request: Request) -> Response:
        body = await self._body(request)
        assert body is not None
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]
        usage = {"prompt_tokens": 12345, "total_tokens": 12345}
        return JSONResponse(
            {"object": "list", "data": data, "model": body["model"], "usage": usage}
        )

    async def _models(self, request: Request) -> Response:
        if request.headers.getlist("authorization") != [f"Bearer {OPENAI_KEY}"]:
            return _openai_error(401, "Incorrect API key")
        model = {"id": "gpt-4o-mini", "object": "model", "created": 1, "owned_by": "system"}
        return JSONResponse({"object": "list", "data": [model]})


class Anthropic:
    """The server; ``seen`` has the bodies that it got."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.app = Starlette(
            routes=[
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count, methods=["POST"]),
            ]
        )

    async def _messages(self, request: Request) -> Response:
        if request.headers.getlist("x-api-key") != [ANTHROPIC_KEY]:
            error = {"type": "authentication_error", "message": "invalid x-api-key"}
            return JSONResponse({"type": "error", "error": error}, 401)
        body = json.loads(await request.body())
        self.seen.append(body)
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": "".join(_WORDS)}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": MESSAGES_USAGE,
        }
        if not body.get("stream"):
            return JSONResponse(message)
        first = {**MESSAGES_USAGE, "output_tokens": 1}
        start = {**message, "content": [], "stop_reason": None, "usage": first}
        block = {"type": "text", "text": ""}
        deltas = [
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": word},
            }
            for word in _WORDS
        ]
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "ping"},
            *deltas,
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": 77}},
            {"type": "message_stop"},
        ]
        return _events(*((event["type"], event) for event in events))

    async def _count(self, request: Request) -> Response:
        assert request.headers["x-api-key"] == ANTHROPIC_KEY
        return JSONResponse({"input_tokens": 4711})
