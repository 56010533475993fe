"""Requests are read within bounds, and answered once."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from stockade.egress.courier.problems import BrokenOffError, Undeliverable
from stockade.egress.courier.visit import Visit

pytestmark = pytest.mark.anyio


def _visit(*messages: dict[str, Any]) -> tuple[Visit, list[Any]]:
    waiting, sent = list(messages), []
    scope = {
        "method": "POST",
        "raw_path": b"/a%2Fb",
        "query_string": b"c=d",
        "headers": [(b"X-A", b"1")],
    }

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    return Visit(scope, receive, send), sent


def _part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_read_whole_up_to_a_size() -> None:
    visit, _ = _visit(_part(b"ab"), _part(b"cd", more=False))
    taken: list[int] = []
    assert await visit.whole_body(4, taken.append) == b"abcd"
    assert (visit.target, visit.fields, taken) == (b"/a%2Fb?c=d", [(b"x-a", b"1")], [2, 2])
    visit, _ = _visit(_part(b"ab"), _part(b"cde"))
    with pytest.raises(Undeliverable) as refused:
        await visit.whole_body(4)
    assert refused.value.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_who_goes_away_is_noticed() -> None:
    visit, _ = _visit(_part(b"ab"), {"type": "http.disconnect"})
    with pytest.raises(BrokenOffError):
        await visit.whole_body(4)
    visit, _ = _visit(_part(b"", more=False), _part(b""), {"type": "http.disconnect"})
    assert await visit.whole_body(4) == b""
    await visit.gone()


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    visit, sent = _visit()
    await visit.start(200, [])
    await visit.refuse(HTTPStatus.BAD_GATEWAY, "late")
    assert [message["type"] for message in sent] == ["http.response.start"]
