"""What the courier refuses, what it inserts, and what an upstream can do to it."""

from __future__ import annotations

import base64
import gzip
import logging
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.unit.egress.rig import (
    KEY,
    ORDER,
    PLAIN_KEY,
    certificates,
    courier,
    delivery,
    errand,
    read_head,
    saying,
    scripted,
    upstream,
)

from stockade.egress.courier.carrier import Patience

if TYPE_CHECKING:
    from anyio.abc import SocketStream
    from starlette.requests import Request

pytestmark = pytest.mark.anyio


async def _echo(request: Request) -> Response:
    body = (await request.body()).decode("latin-1")
    headers = [[name, value] for name, value in request.headers.items()]
    answer = {"headers": headers, "query": request.url.query, "body": body}
    return JSONResponse(answer, headers={"x-echo": request.headers.get("authorization", "-")})


class _Recorder:
    """Echoes all it gets, and keeps it."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.query = ""
        self.body = b""
        self.app = Starlette(
            routes=[Route("/{path:path}", self._serve, methods=["GET", "POST", "HEAD"])]
        )

    async def _serve(self, request: Request) -> Response:
        self.headers = request.headers.items()
        self.query = request.url.query
        self.body = await request.body()
        return await _echo(request)

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]


async def test_the_upstream_gets_the_secret_and_the_agent_gets_asterisks() -> None:
    server = _Recorder()
    async with upstream(server.app) as port, courier(errand(port, delivery=delivery())) as rig:
        answer = await rig.client.get("/x?a=1", headers={"Authorization": "Bearer mine"})
    assert server.values("authorization") == [f"Bearer {PLAIN_KEY}"]
    assert answer.headers["x-echo"] == "Bearer " + "*" * len(PLAIN_KEY)
    assert PLAIN_KEY not in answer.text
    assert "mine" not in answer.text
    assert not [name for name, _ in server.headers if name.startswith("x-stockade")]
    assert server.values("accept-encoding") == ["identity"]


@pytest.mark.parametrize("secret", [KEY, PLAIN_KEY])
@pytest.mark.parametrize("place", [{"query": "key"}, {"basic": "alice"}])
async def test_the_other_places(place: dict[str, Any], secret: str) -> None:
    server = _Recorder()
    async with (
        upstream(server.app) as port,
        courier(errand(port, delivery=delivery(secret, **place))) as rig,
    ):
        answer = await rig.client.get("/x?a=1&k%65y=mine&key=mine")
    if "basic" in place:
        token = base64.b64decode(server.values("authorization")[0].removeprefix("Basic "))
        assert token.decode() == f"alice:{secret}"
        assert server.query == "a=1&k%65y=mine&key=mine"
    else:
        assert httpx2.QueryParams(server.query) == httpx2.QueryParams({"a": "1", "key": secret})
    assert secret not in answer.text
    assert "***" in answer.text


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", b'{"t": "{{stockade:key}}", "n": 1}', b'{"t": "%s", "n": 1}'),
        ("application/json", b'{"note": "{{stockade:key}}"}', b'{"note": "{{stockade:key}}"}'),
        ("application/x-www-form-urlencoded", b"t=%7B%7Bstockade%3Akey%7D%7D&n=1", b"t=%s&n=1"),
        ("application/x-www-form-urlencoded", b"n={{stockade:key}}", b"n={{stockade:key}}"),
        ("text/plain", b"t={{stockade:key}}", b"t={{stockade:key}}"),
    ],
)
async def test_a_placeholder_is_filled_in_its_field_alone(
    kind: str, body: bytes, expected: bytes
) -> None:
    server = _Recorder()
    async with (
        upstream(server.app) as port,
        courier(errand(port, delivery=delivery(body="t"))) as rig,
    ):
        answer = await rig.client.post("/", content=body, headers={"Content-Type": kind})
    assert server.body == expected.replace(b"%s", PLAIN_KEY.encode())
    assert answer.status_code == 200
    assert PLAIN_KEY not in answer.text


async def test_bodies_stream_in_both_directions() -> None:
    chunks = [bytes([n]) * 70_000 for n in range(20)]

    async def content() -> Any:
        for chunk in chunks:
            yield chunk

    server = _Recorder()
    async with upstream(server.app) as port, courier(errand(port, delivery=delivery())) as rig:
        answer = await rig.client.post("/", content=content())
    assert server.body == b"".join(chunks)
    assert answer.json()["body"].encode("latin-1") == server.body


async def test_events_pass_one_by_one() -> None:
    go_on = anyio.Event()

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        await stream.send(head + b"data: one\n\n")
        await go_on.wait()  # sent only once the first has been seen
        await stream.send(b"data: two\n\n")

    async with (
        scripted(handler) as port,
        courier(errand(port, delivery=delivery())) as rig,
        rig.client.stream("GET", "/") as answer,
    ):
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"data: one\n\n"
        go_on.set()
        assert await anext(chunks) == b"data: two\n\n"


async def test_a_compressed_echo_is_found() -> None:
    packed = gzip.compress(f"you sent {PLAIN_KEY}".encode())
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    async with (
        scripted(saying(head.encode() + packed)) as port,
        courier(errand(port, delivery=delivery())) as rig,
    ):
        answer = await rig.client.get("/")
    assert answer.text == "you sent " + "*" * len(PLAIN_KEY)


async def test_echoes_in_names_of_fields_are_found() -> None:
    head = f"HTTP/1.1 204 No Content\r\nX-{PLAIN_KEY}: a{PLAIN_KEY}b\r\n\r\n"
    async with (
        scripted(saying(head.encode())) as port,
        courier(errand(port, delivery=delivery())) as rig,
    ):
        answer = await rig.client.get("/")
    mask = "*" * len(PLAIN_KEY)
    assert answer.headers[f"x-{mask}"] == f"a{mask}b"


_OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", 502),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 502),
        (_OK + b"Content-Length: -5\r\n\r\n", 502),
        (_OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 502),
        (_OK + b"X: " + b"y" * 300_000 + b"\r\n\r\n", 502),
        (_OK + b"Transfer-Encoding: gzip\r\n\r\n", 502),
        (_OK + b"Content-Encoding: br\r\n\r\n", 502),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502),
    ],
)
async def test_an_answer_that_is_none_is_a_problem(answer: bytes, status: int) -> None:
    async with scripted(saying(answer)) as port, courier(errand(port, delivery=delivery())) as rig:
        got = await rig.client.get("/")
    assert got.status_code == status
    assert got.headers["content-type"] == "application/problem+json"
    assert got.json()["status"] == status
    assert PLAIN_KEY not in got.text


@pytest.mark.parametrize(
    "answer",
    [
        _OK + b"Content-Length: 100\r\n\r\nshort",
        _OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        _OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        _OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello" * 99, mtime=0)[:-9],
        _OK + b"Content-Encoding: gzip\r\n\r\nhello",
    ],
)
async def test_an_answer_that_breaks_off_is_seen_to_break_off(answer: bytes) -> None:
    async with scripted(saying(answer)) as port, courier(errand(port, delivery=delivery())) as rig:
        with pytest.raises(httpx2.RemoteProtocolError):
            await rig.client.get("/")


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with (
        scripted(saying(b"", then_wait=True)) as port,
        courier(errand(port, delivery=delivery()), patience=Patience(read=0.05)) as rig,
    ):
        answer = await rig.client.get("/")
    assert answer.status_code == 504


async def test_a_server_is_left_when_nobody_waits_any_more() -> None:
    asked, left = anyio.Event(), anyio.Event()

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        asked.set()
        try:
            await stream.receive()
        except anyio.EndOfStream:
            left.set()

    async with scripted(handler) as port, courier(errand(port, delivery=delivery())) as rig:
        async with anyio.create_task_group() as group:
            group.start_soon(rig.client.get, "/")
            await asked.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            await left.wait()


async def test_large_answers_pass() -> None:
    size = 100 * 1024 * 1024

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        await stream.send(_OK + f"Content-Length: {size}\r\n\r\n".encode())
        for _ in range(100):
            await stream.send(bytes(1024 * 1024))

    got = 0
    async with (
        scripted(handler) as port,
        courier(errand(port, delivery=delivery())) as rig,
        rig.client.stream("GET", "/") as answer,
    ):
        async for chunk in answer.aiter_raw():
            got += len(chunk)
    assert got == size


async def test_nothing_is_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n"
    async with scripted(saying(moved)) as port, courier(errand(port, delivery=delivery())) as rig:
        answer = await rig.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://evil.test/")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-stockade-session": ""}, 200),
        ([("x-stockade-session", "another")], 400),  # beside the client's own
        ([("x-stockade-rule", "another")], 400),
        ({"host": "evil.test"}, 421),
        ({"host": "api.test:1"}, 421),
        ({"connection": "upgrade", "upgrade": "websocket"}, 501),
    ],
)
async def test_requests_that_do_not_add_up_are_refused(headers: Any, status: int) -> None:
    server = _Recorder()
    async with upstream(server.app) as port, courier(errand(port, delivery=delivery())) as rig:
        if isinstance(headers, list):
            headers = [*rig.client.headers.multi_items(), *headers]
            rig.client.headers = httpx2.Headers()
        answer = await rig.client.get("/", headers=headers)
    assert answer.status_code == status
    assert bool(server.headers) is (status == 200)


async def test_what_is_not_granted_is_refused() -> None:
    async with courier() as rig:
        answer = await rig.client.get("/a%2e%2e/b;c//d?e")
    assert answer.status_code == 403
    assert rig.asked == [ORDER]


async def test_the_certificate_must_be_for_the_host() -> None:
    server = _Recorder()
    async with upstream(server.app, tls=certificates("other.test")) as port:
        to = errand(port, scheme="https", delivery=delivery())
        async with courier(to, trust=certificates("other.test")[0]) as rig:
            answer = await rig.client.get("/")
    assert answer.status_code == 502
    assert "certificate is not accepted" in answer.json()["detail"]
    assert not server.headers


async def test_only_vetted_addresses_are_connected_to() -> None:
    server = _Recorder()
    async with upstream(server.app) as port:
        # The name would lead to loopback; the address that was vetted does not serve.
        to = errand(port, host="localhost", addresses=[ip_address("127.0.0.2")])
        async with courier(to) as rig:
            answer = await rig.client.get("/", headers={"host": f"localhost:{port}"})
    assert (answer.status_code, server.headers) == (502, [])


@pytest.mark.parametrize("secret", [PLAIN_KEY, KEY])
async def test_no_log_at_any_level_has_the_secret(
    secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    for name in ("httpcore2", "httpcore2.http11", "httpcore2.connection", "uvicorn.error"):
        caplog.set_level(logging.DEBUG, name)
    server = _Recorder()
    echo = _OK + f"X-Echo: {secret}\r\nContent-Length: 99\r\n\r\n{secret}".encode()
    async with (
        upstream(server.app) as port,
        scripted(saying(echo)) as broken,
        courier(errand(port, delivery=delivery(secret, query="key"))) as rig,
    ):
        await rig.client.get("/")
        rig.errand = errand(port, delivery=delivery(secret))
        await rig.client.get("/")  # not ASCII, so not a header, for one of the two
        rig.errand = errand(broken, delivery=delivery(secret, query="key"))
        with pytest.raises(httpx2.RemoteProtocolError):
            await rig.client.get("/", headers={"host": f"api.test:{broken}"})
    assert secret not in caplog.text
    assert secret.encode("unicode_escape").decode() not in caplog.text


async def test_a_failure_of_the_lookup_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(*_: object) -> None:
        raise RuntimeError(f"{PLAIN_KEY}")

    async with courier() as rig:
        rig.app._lookup = failing  # type: ignore[assignment]
        answer = await rig.client.get("/")
    assert (answer.status_code, answer.json()["detail"]) == (502, "the courier failed")
    assert PLAIN_KEY not in caplog.text
