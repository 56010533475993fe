"""The parts of the two APIs that are served: which requests there are, and what they mean.

OpenAI: https://platform.openai.com/docs/api-reference.
Anthropic: https://docs.anthropic.com/en/api. All else on the hosts of providers is refused, since
what it uses could not be told.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Api(StrEnum):
    """The way in which a provider is spoken to."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Operation(StrEnum):
    """What a request asks of a provider."""

    CHAT = "chat"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    COUNT = "count"
    LIST = "list"

    @property
    def costs(self) -> bool:
        """Whether its answer tells what it used."""
        return self not in (Operation.COUNT, Operation.LIST)


_LISTED = re.compile(r"/v1/models(?:/[A-Za-z0-9._:-]{1,256})?")
_ROUTES = {
    Api.OPENAI: {
        "/v1/chat/completions": Operation.CHAT,
        "/v1/responses": Operation.RESPONSES,
        "/v1/embeddings": Operation.EMBEDDINGS,
    },
    Api.ANTHROPIC: {
        "/v1/messages": Operation.MESSAGES,
        "/v1/messages/count_tokens": Operation.COUNT,
    },
}


def api_of(provider: str) -> Api:
    """The API of ``provider``: all but Anthropic speak OpenAI's."""
    return Api.ANTHROPIC if provider == "anthropic" else Api.OPENAI


def operation(api: Api, method: str, path: str) -> Operation | None:
    """What a request asks for, or None if that is not served; ``path`` is as sent."""
    if method == "GET" and _LISTED.fullmatch(path):
        return Operation.LIST
    return _ROUTES[api].get(path) if method == "POST" else None
