"""Answers that break off, lie or never end are settled all the same. SDKs: tests/functional."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from tests.unit.egress.rig import (
    PLAIN_KEY,
    courier,
    delivery,
    errand,
    read_head,
    saying,
    scripted,
)

from stockade.egress.courier.carrier import Patience
from stockade.model.usage import Usage

if TYPE_CHECKING:
    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio

_ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": []}
_CHAT = "/v1/chat/completions"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_USAGE = {"prompt_tokens": 10, "completion_tokens": 5}


def _to(port: int, provider: str = "openai") -> Any:
    return errand(port, provider=provider, delivery=delivery())


def _json(document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


async def _settled(answer: bytes, *, broken: bool = False, **ask: Any) -> tuple[str, Usage]:
    text = ""
    async with scripted(saying(answer)) as port, courier(_to(port)) as rig:
        try:
            text = (await rig.client.post(_CHAT, json={**_ASK, **ask})).text
        except httpx2.RemoteProtocolError:
            assert broken
    [usage] = rig.usages
    return text, usage


@pytest.mark.parametrize(
    ("document", "note"),
    [
        ({"choices": []}, "the answer tells no usage"),
        ({"usage": {"prompt_tokens": -9, "completion_tokens": 1}}, "cannot be true"),
        ({"usage": {"prompt_tokens": 10**30, "completion_tokens": 1}}, "cannot be true"),
        ({"usage": {"prompt_tokens": "9"}}, "cannot be read"),
        ([1, 2], "tells no usage"),
    ],
)
async def test_no_usage_or_a_false_one_is_told_as_such(document: object, note: str) -> None:
    text, usage = await _settled(_json(document))
    assert json.loads(text) == document
    assert (usage.measured, usage.usd) == (False, None)
    assert note in usage.note


async def test_a_stream_that_breaks_off_is_settled_as_incomplete() -> None:
    events = b'data: {"choices": [{}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'
    head = _EVENTS.replace(b"Connection: close", b"Content-Length: 5000")
    _, usage = await _settled(head + events, broken=True, stream=True)
    assert (usage.complete, usage.measured, usage.input) == (False, True, 3)


async def test_a_stream_without_usage_is_told_as_such() -> None:
    _, usage = await _settled(_EVENTS + b"data: {}\n\ndata: [DONE]\n\n", stream=True)
    assert (usage.measured, usage.complete) == (False, True)


async def test_an_answer_that_is_cut_short_is_settled_as_incomplete() -> None:
    text, usage = await _settled(_json({"usage": _USAGE})[:-5])
    assert json.loads(text)["error"]["type"] == "server_error"
    assert (usage.measured, usage.complete) == (False, False)


async def test_an_answer_that_is_too_long_is_given_up() -> None:
    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(100):
            await stream.send(b"[" * 1024 * 1024)

    async with scripted(handler) as port, courier(_to(port)) as rig:
        answer = await rig.client.post(_CHAT, json=_ASK)
    assert answer.status_code == 502
    assert "too long" in answer.json()["error"]["message"]
    assert not rig.usages[0].measured


async def test_an_upstream_that_never_answers_is_given_up() -> None:
    async with (
        scripted(saying(b"", then_wait=True)) as port,
        courier(_to(port, "anthropic"), patience=Patience(read=0.05)) as rig,
    ):
        answer = await rig.client.post("/v1/messages", json=_ASK)
    assert answer.status_code == 504
    assert answer.json()["error"]["type"] == "timeout_error"
    assert not rig.usages


async def test_the_last_event_ends_the_stream() -> None:
    late = b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}\n\n'
    text, usage = await _settled(
        _EVENTS + b"data: {}\n\n" + b"data: [DONE]\n\n" + late, stream=True
    )
    assert text == "data: {}\n\ndata: [DONE]\n\n"
    assert not usage.measured


async def test_who_goes_away_early_is_settled_too() -> None:
    first = b'data: {"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":'
    first += b'{"input_tokens":7,"output_tokens":1}}}\n\n'
    settled = anyio.Event()
    async with (
        scripted(saying(_EVENTS + first, then_wait=True)) as port,
        courier(_to(port, "anthropic")) as rig,
    ):
        record = rig.settle

        async def settle(session: str, usage: Usage) -> None:
            await record(session, usage)
            settled.set()

        rig.door._settle = settle
        body = {**_ASK, "stream": True}
        async with rig.client.stream("POST", "/v1/messages", json=body) as answer:
            await anext(answer.aiter_bytes())
        with anyio.fail_after(20):
            await settled.wait()
    [usage] = rig.usages
    assert (usage.input, usage.complete) == (7, False)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_be_recorded_does_not_arrive(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    events = _EVENTS + b'data: {"choices": [{}]}\n\ndata: [DONE]\n\n'
    answer = events if stream else _json({"choices": ["the answer"], "usage": _USAGE})
    got = None
    async with scripted(saying(answer)) as port, courier(_to(port)) as rig:
        rig.unsettled = True
        if stream:
            with pytest.raises(httpx2.RemoteProtocolError):
                await rig.client.post(_CHAT, json={**_ASK, "stream": True})
        else:
            got = await rig.client.post(_CHAT, json=_ASK)
    assert got is None or (got.status_code == 503 and "the answer" not in got.text)
    assert PLAIN_KEY not in caplog.text


async def test_the_agents_own_key_never_arrives() -> None:
    heads: list[bytes] = []

    async def handler(stream: SocketStream) -> None:
        heads.append(await read_head(stream))
        await stream.send(_json({"usage": _USAGE}))

    own = {"authorization": "Bearer mine", "x-api-key": "mine", "openai-organization": "mine"}
    async with scripted(handler) as port, courier(_to(port)) as rig:
        rig.errand = errand(port, provider="openai")  # granted without a credential
        await rig.client.post(_CHAT, json=_ASK, headers=own)
    assert b"mine" not in heads[0]


@pytest.mark.parametrize("ask", [{"model": 7}, {"models": ["x"]}, {"stream": "yes"}])
async def test_requests_with_two_meanings_ask_and_send_nothing(ask: Any) -> None:
    async with courier(_to(1)) as rig:
        answer = await rig.client.post(_CHAT, json={**_ASK, **ask})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert not rig.actions
