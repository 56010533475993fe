"""Makers' own SDKs through courier and model door, to servers that behave like the real ones."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from tests.functional.modelapis import ANTHROPIC_KEY, OPENAI_KEY, Anthropic, OpenAI
from tests.unit.egress.rig import Rig, certificates, courier, delivery, errand, upstream

from stockade.model.action import ModelCall
from stockade.model.verdict import Effect, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

_ASK: list[Any] = [{"role": "user", "content": "How are agents?"}]
_TEXT = "Contained agents are calm."
_DENIED = Verdict(
    effect=Effect.DENY,
    rule="default",
    reason="model:openai/gpt-6-sol is not granted",
    hint="Granted are: gpt-4o*.",
)


@asynccontextmanager
async def _openai() -> AsyncIterator[tuple[Rig, OpenAI, openai.AsyncOpenAI]]:
    server = OpenAI()
    async with upstream(server.app, tls=certificates()) as port:
        to = errand(port, scheme="https", provider="openai", delivery=delivery(OPENAI_KEY))
        async with courier(to, trust=certificates()[0]) as rig:
            sdk = openai.AsyncOpenAI(
                api_key="not-a-key",
                organization="org-of-the-agent",
                base_url=f"{rig.client.base_url}/v1",
                http_client=rig.client,
                max_retries=0,
            )
            yield rig, server, sdk


@asynccontextmanager
async def _anthropic() -> AsyncIterator[tuple[Rig, Anthropic, anthropic.AsyncAnthropic]]:
    server = Anthropic()
    given = delivery(ANTHROPIC_KEY, header="X-Api-Key", format="{secret}")
    async with upstream(server.app, tls=certificates()) as port:
        to = errand(port, scheme="https", provider="anthropic", delivery=given)
        async with courier(to, trust=certificates()[0]) as rig:
            sdk = anthropic.AsyncAnthropic(
                api_key="not-a-key",
                base_url=str(rig.client.base_url),
                http_client=rig.client,
                max_retries=0,
            )
            yield rig, server, sdk


# gpt-4o-mini: $0.15 in, $0.075 from the cache, $0.60 out for a million tokens.
_CHAT_USD = Decimal(1000) * Decimal("0.15e-6") + 200 * Decimal("0.075e-6") + 345 * Decimal("6e-7")


async def test_chat_completions_are_measured_and_priced() -> None:
    async with _openai() as (rig, _, sdk):
        answer = await sdk.chat.completions.create(model="gpt-4o-mini", messages=_ASK)
    assert answer.choices[0].message.content == _TEXT
    assert rig.actions == [ModelCall(provider="openai", model="gpt-4o-mini")]
    [usage] = rig.usages
    assert (usage.input, usage.output, usage.cache_read, usage.reasoning) == (1200, 345, 200, 45)
    assert usage.usd == _CHAT_USD
    assert usage.priced
    assert (usage.model, usage.served) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")


async def test_streamed_chat_completions_are_measured_and_the_chunk_for_that_is_hidden() -> None:
    async with _openai() as (rig, server, sdk):
        stream = await sdk.chat.completions.create(model="gpt-4o-mini", messages=_ASK, stream=True)
        chunks = [chunk async for chunk in stream]
        assert server.seen[0]["stream_options"] == {"include_usage": True}
    assert all(chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == _TEXT
    [usage] = rig.usages
    assert (usage.usd, usage.complete) == (_CHAT_USD, True)


async def test_a_client_that_asks_for_usage_in_its_stream_gets_it() -> None:
    async with _openai() as (rig, _, sdk):
        stream = await sdk.chat.completions.create(
            model="gpt-4o-mini",
            messages=_ASK,
            stream=True,
            stream_options={"include_usage": True},
        )
        *_, last = [chunk async for chunk in stream]
    assert last.usage is not None
    assert last.usage.total_tokens == 1545
    assert rig.usages[0].usd == _CHAT_USD


@pytest.mark.parametrize("stream", [False, True])
async def test_responses_are_measured(stream: bool) -> None:
    async with _openai() as (rig, _, sdk):
        if stream:
            async with sdk.responses.stream(model="gpt-4o-mini", input="How?") as events:
                deltas = [e.delta async for e in events if e.type == "response.output_text.delta"]
            assert "".join(deltas) == _TEXT
        else:
            answer = await sdk.responses.create(model="gpt-4o-mini", input="How?")
            assert answer.output_text == _TEXT
    [usage] = rig.usages
    assert (usage.input, usage.output, usage.cache_read) == (900, 80, 100)
    assert usage.usd == 800 * Decimal("0.15e-6") + 100 * Decimal("0.075e-6") + 80 * Decimal("6e-7")


async def test_embeddings_are_measured() -> None:
    async with _openai() as (rig, _, sdk):
        answer = await sdk.embeddings.create(
            model="text-embedding-3-small", input="x", encoding_format="float"
        )
    assert answer.data[0].embedding == [0.25, -0.5]
    assert rig.usages[0].usd == 12345 * Decimal("0.02e-6")


async def test_models_can_be_listed() -> None:
    async with _openai() as (rig, _, sdk):
        assert [model.id async for model in sdk.models.list()] == ["gpt-4o-mini"]
    assert not rig.usages


# claude-sonnet-4-6: $3 in, $3.75 into the cache, $0.30 from it, $15 out for a million tokens.
_MESSAGES_USD = sum(
    (
        50 * Decimal("3e-6"),
        1000 * Decimal("3.75e-6"),
        4000 * Decimal("0.3e-6"),
        77 * Decimal("15e-6"),
    ),
    Decimal(0),
)


@pytest.mark.parametrize("stream", [False, True])
async def test_messages_are_measured_with_their_caches(stream: bool) -> None:
    async with _anthropic() as (rig, _, sdk):
        model: Any = "claude-sonnet-4-6"
        if stream:
            async with sdk.messages.stream(model=model, max_tokens=99, messages=_ASK) as events:
                assert "".join([text async for text in events.text_stream]) == _TEXT
        else:
            answer = await sdk.messages.create(model=model, max_tokens=99, messages=_ASK)
            assert answer.content[0].text == _TEXT  # type: ignore[union-attr]
    [usage] = rig.usages
    assert (usage.input, usage.output) == (5050, 77)
    assert (usage.cache_read, usage.cache_write) == (4000, 1000)
    assert (usage.usd, usage.complete) == (_MESSAGES_USD, True)


async def test_counting_tokens_costs_nothing_and_asks_the_gate() -> None:
    async with _anthropic() as (rig, _, sdk):
        counted = await sdk.messages.count_tokens(model="claude-sonnet-4-6", messages=_ASK)
    assert counted.input_tokens == 4711
    assert rig.actions == [ModelCall(provider="anthropic", model="claude-sonnet-4-6")]
    assert not rig.usages


async def test_a_refused_model_is_an_error_of_openai() -> None:
    async with _openai() as (rig, server, sdk):
        rig.verdict = _DENIED
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await sdk.chat.completions.create(model="gpt-6-sol", messages=_ASK)
    assert refused.value.code == "model_not_allowed"
    assert "is not granted (rule default). Granted are: gpt-4o*." in str(refused.value)
    assert not server.seen
    assert not rig.usages


async def test_a_refused_model_is_an_error_of_anthropic() -> None:
    async with _anthropic() as (rig, server, sdk):
        rig.verdict = _DENIED
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            await sdk.messages.create(model="claude-x", max_tokens=9, messages=_ASK)
    assert refused.value.body == {
        "type": "error",
        "error": {
            "type": "permission_error",
            "message": f"{_DENIED.reason} (rule default). {_DENIED.hint}",
        },
    }
    assert not server.seen


async def test_what_a_server_says_of_the_key_reaches_no_sdk() -> None:
    wrong = "sk-proj-this-key-was-revoked-long-ago"
    async with _openai() as (rig, _, sdk):
        assert rig.errand
        rig.errand = errand(
            rig.errand.port, scheme="https", provider="openai", delivery=delivery(wrong)
        )
        with pytest.raises(openai.AuthenticationError) as refused:
            await sdk.chat.completions.create(model="gpt-4o-mini", messages=_ASK)
    assert "Incorrect API key: Bearer *****" in str(refused.value)
    assert wrong not in str(refused.value)


async def test_other_requests_to_a_provider_are_refused() -> None:
    async with _openai() as (rig, _, sdk):
        with pytest.raises(openai.PermissionDeniedError, match="POST /v1/files is not served"):
            await sdk.files.create(file=b"x", purpose="batch")
    assert not rig.actions
