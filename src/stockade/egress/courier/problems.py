"""Refusals and failures as JSON (RFC 9457), and the one exception that they travel in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http import HTTPStatus

    from stockade.egress.courier.fields import Fields


class Undeliverable(Exception):  # noqa: N818 - not an error of this program
    """A request that gets no answer from where it was to go.

    ``detail`` is one line for whoever runs the agent's code; it never holds what was sent.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BrokenOffError(Exception):
    """An answer that had begun and cannot be brought to its end."""


def problem(status: HTTPStatus, detail: str) -> tuple[int, Fields, bytes]:
    """Status, header fields and body of an answer that says what is wrong."""
    body = json.dumps(
        {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    ).encode()
    fields = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    return status.value, fields, body
