"""The providers' shapes of errors; functional tests show them to the SDKs."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from stockade.egress.models.operations import Api
from stockade.egress.models.refusals import refusal


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (HTTPStatus.FORBIDDEN, "permission_error"),
        (HTTPStatus.BAD_REQUEST, "invalid_request_error"),
        (HTTPStatus.REQUEST_TIMEOUT, "invalid_request_error"),
        (HTTPStatus.BAD_GATEWAY, "api_error"),
    ],
)
def test_anthropic(status: HTTPStatus, kind: str) -> None:
    code, fields, body = refusal(Api.ANTHROPIC, status, "why", "word")
    assert json.loads(body) == {"type": "error", "error": {"type": kind, "message": "why"}}
    assert code == status
    assert (b"content-length", str(len(body)).encode()) in fields


def test_openai() -> None:
    _, _, body = refusal(Api.OPENAI, HTTPStatus.FORBIDDEN, "why", "word")
    error = json.loads(body)["error"]
    assert error == {
        "message": "why",
        "type": "invalid_request_error",
        "param": None,
        "code": "word",
    }
    _, _, body = refusal(Api.OPENAI, HTTPStatus.BAD_GATEWAY, "why", "word")
    assert json.loads(body)["error"]["type"] == "server_error"
