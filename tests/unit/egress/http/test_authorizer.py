"""The authorizer, asked as Envoy asks it."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import anyio
import pytest

from stockade.egress.http import envelope
from stockade.egress.http.authorizer import Authorizer
from stockade.egress.http.check import Courier, Direct, HttpAnswer, HttpCheck, Refusal

pytestmark = pytest.mark.anyio

GOOD = {
    envelope.SESSION: "fd00::1",
    envelope.DESTINATION: "[::ffff:198.18.0.1]:443",
    envelope.HOST: "a.test",
    envelope.SCHEME: "https",
    envelope.SERVER_NAME: "A.test",
    envelope.METHOD: "GET",
    envelope.AUTHORITY: "a.test",
    envelope.TARGET: "/x?y",
}
DIRECT = Direct(IPv4Address("192.0.2.1"), 443)


class _Asked:
    """Puts a question, and keeps what the judge was asked."""

    def __init__(self, answer: HttpAnswer | BaseException | None = DIRECT) -> None:
        self.answer, self.checks = answer, list[HttpCheck]()

    async def judge(self, check: HttpCheck) -> HttpAnswer:
        self.checks.append(check)
        if self.answer is None:
            await anyio.sleep_forever()
        if isinstance(self.answer, BaseException):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def ask(self, **changes: str | None) -> tuple[int, dict[str, str], bytes]:
        facts = GOOD | {envelope.PREFIX + key.replace("_", "-"): v for key, v in changes.items()}
        headers = [(k.encode(), v.encode("latin-1")) for k, v in facts.items() if v is not None]
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError

        authorizer = Authorizer(self.judge, patience=0.01 if self.answer is None else 20)
        await authorizer({"type": "http", "headers": headers}, receive, send)
        told = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        return sent[0]["status"], told, sent[1]["body"]


async def test_the_judge_is_asked_about_what_was_sent() -> None:
    asked = _Asked()
    status, told, body = await asked.ask()
    assert (status, body) == (200, b"")
    assert told[envelope.ROUTE] == "direct"
    assert told[envelope.ADDRESS] == "192.0.2.1:443"
    assert envelope.RULE not in told
    assert asked.checks == [
        HttpCheck(
            session=IPv6Address("fd00::1"),
            destination=IPv4Address("198.18.0.1"),
            port=443,
            scheme="https",
            host="a.test",
            method="GET",
            path="/x",
            query="y",
        )
    ]


async def test_the_courier_is_named_the_grant() -> None:
    asked = _Asked(Courier("network[1]", IPv6Address("2001:db8::1"), 8443))
    _, told, _ = await asked.ask(upgrade="WebSocket")
    assert told[envelope.ROUTE] == "courier"
    assert told[envelope.RULE] == "network[1]"
    assert told[envelope.ADDRESS] == "[2001:db8::1]:8443"
    assert told[envelope.SESSION] == "fd00::1"
    assert asked.checks[0].upgrade


@pytest.mark.parametrize("status", [403, 429])
async def test_a_refusal_says_what_to_do(status: Any) -> None:
    asked = _Asked(Refusal("network[0]", "no", "hint", "ask", status))
    got, _, body = await asked.ask()
    assert got == status
    told = json.loads(body)
    assert set(told) == {"error", "rule", "reason", "hint", "how_to_ask"}
    assert told["how_to_ask"] == "ask"


@pytest.mark.parametrize(
    "changes",
    [
        {"authority": "b.test"},
        {"authority": "a.test:80"},
        {"authority": "a.test."},
        {"authority": ""},
        {"server_name": "b.test"},
        {"server_name": ""},
        {"server_name": None},
    ],
)
async def test_another_host_is_misdirected(changes: dict[str, str | None]) -> None:
    asked = _Asked()
    status, _, _ = await asked.ask(**changes)
    assert status == 421
    assert not asked.checks


@pytest.mark.parametrize("changes", [{"target": "/../x"}, {"target": None}, {"method": "CONNECT"}])
async def test_an_ambiguous_request_is_malformed(changes: dict[str, str | None]) -> None:
    asked = _Asked()
    status, _, _ = await asked.ask(**changes)
    assert status == 400
    assert not asked.checks


@pytest.mark.parametrize(
    "changes",
    [
        {"session": None},
        {"session": "somebody"},
        {"destination": "198.18.0.1:443"},
        {"destination": "[::1]:443"},
        {"host": None},
        {"host": "-"},
        {"scheme": "ftp"},
        {"method": None},
    ],
)
async def test_a_question_that_is_not_envoys_is_not_answered(changes: dict[str, Any]) -> None:
    asked = _Asked()
    status, _, body = await asked.ask(**changes)
    assert (status, body) == (503, b"")
    assert not asked.checks


async def test_a_judge_that_fails_or_hangs_allows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    for answer in (RuntimeError("s3cret"), None):
        status, _, body = await _Asked(answer).ask()
        assert (status, body) == (503, b"")
    assert "s3cret" not in caplog.text
