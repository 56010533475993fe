"""Errors in the shape in which a provider's own clients expect them."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from stockade.egress.models.operations import Api

if TYPE_CHECKING:
    from stockade.egress.courier.fields import Fields

# https://docs.anthropic.com/en/api/errors
_ANTHROPIC = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
}


def refusal(api: Api, status: HTTPStatus, message: str, code: str) -> tuple[int, Fields, bytes]:
    """Status, header fields and body of an error; ``code`` is a word for programs."""
    if api is Api.ANTHROPIC:
        kind = _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")
        error: dict[str, object] = {"type": "error", "error": {"type": kind, "message": message}}
    else:
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    body = json.dumps(error).encode()
    fields = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # To ask again would be refused again; both makers' clients heed this.
        (b"x-should-retry", b"false"),
    ]
    return status.value, fields, body
