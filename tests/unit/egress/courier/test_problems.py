"""Problems are JSON that programs know."""

from __future__ import annotations

import json
from http import HTTPStatus

from stockade.egress.courier.problems import Undeliverable, problem


def test_a_problem() -> None:
    status, fields, body = problem(HTTPStatus.BAD_GATEWAY, "why")
    assert status == 502
    assert (b"content-length", str(len(body)).encode()) in fields
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Bad Gateway",
        "status": 502,
        "detail": "why",
    }


def test_it_travels_in_an_exception() -> None:
    failure = Undeliverable(HTTPStatus.FORBIDDEN, "why")
    assert (failure.status, failure.detail, str(failure)) == (403, "why", "why")
