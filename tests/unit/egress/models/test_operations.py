"""Which requests to a provider are served."""

from __future__ import annotations

import pytest

from stockade.egress.models.operations import Api, Operation, api_of, operation


@pytest.mark.parametrize(
    ("api", "method", "path", "expected"),
    [
        (Api.OPENAI, "POST", "/v1/chat/completions", Operation.CHAT),
        (Api.OPENAI, "POST", "/v1/responses", Operation.RESPONSES),
        (Api.OPENAI, "POST", "/v1/embeddings", Operation.EMBEDDINGS),
        (Api.ANTHROPIC, "POST", "/v1/messages", Operation.MESSAGES),
        (Api.ANTHROPIC, "POST", "/v1/messages/count_tokens", Operation.COUNT),
        (Api.OPENAI, "GET", "/v1/models", Operation.LIST),
        (Api.ANTHROPIC, "GET", "/v1/models/claude-x", Operation.LIST),
        (Api.OPENAI, "GET", "/v1/chat/completions", None),
        (Api.OPENAI, "POST", "/v1/messages", None),
        (Api.OPENAI, "POST", "/v1/chat/completions/", None),
        (Api.OPENAI, "POST", "/v1//chat/completions", None),
        (Api.OPENAI, "POST", "/v1/chat%2Fcompletions", None),
        (Api.OPENAI, "GET", "/v1/models/../files", None),
        (Api.OPENAI, "DELETE", "/v1/models/ft:x", None),
        (Api.ANTHROPIC, "POST", "/v1/messages/batches", None),
    ],
)
def test_routes(api: Api, method: str, path: str, expected: Operation | None) -> None:
    assert operation(api, method, path) is expected


def test_all_but_anthropic_speak_openais_api() -> None:
    assert [api_of(name) for name in ("anthropic", "openai", "mine")] == [
        Api.ANTHROPIC,
        Api.OPENAI,
        Api.OPENAI,
    ]


def test_counting_and_listing_cost_nothing() -> None:
    assert {each for each in Operation if not each.costs} == {Operation.COUNT, Operation.LIST}
