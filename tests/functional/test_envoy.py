"""HTTP(S) through a real Envoy, between real clients and real servers on loopback."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from tests.functional.envoylab import (
    ALICE,
    BOB,
    DENIED,
    HOST,
    NAMES,
    OTHER,
    Lab,
    answer_of,
    courier,
    laboratory,
)
from websockets.sync.client import connect

from stockade.egress.http.check import Courier, HttpAnswer, HttpCheck
from stockade.egress.http.config import Bounds

Eventually = Callable[[Callable[[], object], str], None]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("e")
    bounds = Bounds(patience=2.0, request_body=8 * 1024 * 1024)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            laboratory(folder, bounds=bounds, courier=courier)
        ) as lab,
    ):
        yield lab


@pytest.fixture
def lab(running: Lab) -> Lab:
    running.forget()
    return running


@pytest.fixture(params=["1.1", "2"])
def client(request: pytest.FixtureRequest, lab: Lab) -> Iterator[httpx2.Client]:
    """A client of either version of HTTP, whose connections for ``HOST`` go to a door."""
    with _client(lab, http2=request.param == "2") as made:
        yield made


@contextmanager
def _client(lab: Lab, host: str = HOST, *, http2: bool = False) -> Iterator[httpx2.Client]:
    with lab.door(host) as port:
        base = f"https://127.0.0.1:{port}"
        with httpx2.Client(
            base_url=base,
            verify=lab.context(),
            http1=not http2,
            http2=http2,
            headers={"host": host},
            timeout=20,
            trust_env=False,
        ) as client:
            yield client


def _get(client: httpx2.Client, path: str, host: str = HOST) -> httpx2.Response:
    return client.get(path, extensions={"sni_hostname": host})


def test_an_allowed_request_reaches_the_host_as_it_was_sent(
    lab: Lab, client: httpx2.Client
) -> None:
    answer = _get(client, "/repos/acme/shop?state=open&x=%2F")
    assert answer.status_code == 200
    seen = answer.json()
    assert (seen["path"], seen["query"]) == ("/repos/acme/shop", "state=open&x=%2F")
    [check] = lab.checks
    assert check == HttpCheck(
        session=ALICE,
        destination=NAMES[HOST],
        port=443,
        scheme="https",
        host=HOST,
        method="GET",
        path="/repos/acme/shop",
        query="state=open&x=%2F",
    )


def test_a_denied_request_is_answered_with_what_to_do(lab: Lab) -> None:
    with _client(lab, DENIED) as client:
        answer = _get(client, "/", DENIED)
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "error": "refused",
            "rule": "network[1]",
            "reason": "not granted",
            "hint": "GET is granted",
            "how_to_ask": "stockade approvals",
        }
    assert not lab.reached


def test_hosts_never_see_what_is_between_envoy_and_stockade(
    lab: Lab, client: httpx2.Client
) -> None:
    pretended = {
        "x-stockade-route": "courier",
        "x-stockade-address": "127.0.0.1:1",
        "X-Stockade-Session": str(BOB),
        "x-envoy-original-dst-host": "127.0.0.1:1",
        "x-envoy-retry-on": "5xx",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-proto": "http",
    }
    answer = client.get("/", headers=pretended, extensions={"sni_hostname": HOST})
    assert answer.status_code == 200
    names = set(answer.json()["headers"])
    assert not {name for name in names if name.startswith(("x-stockade", "x-envoy", "x-forwarded"))}
    assert lab.checks[0].session == ALICE
    assert not {name for name in answer.headers if name.startswith(("x-stockade", "x-envoy"))}


def test_the_hosts_certificate_is_verified_for_its_name(lab: Lab) -> None:
    with _client(lab, OTHER) as client:  # allowed, but the upstream's certificate is HOST's
        answer = _get(client, "/", OTHER)
        assert answer.status_code == 503
        assert "CERTIFICATE_VERIFY_FAILED" in answer.text
    assert lab.checks
    assert not lab.reached


def test_a_large_body_passes_in_both_directions(lab: Lab, client: httpx2.Client) -> None:
    size = 6 * 1024 * 1024 + 17
    sent = client.post("/upload", content=b"y" * size, extensions={"sni_hostname": HOST})
    assert sent.json()["size"] == size
    got = _get(client, f"/bytes/{size}")
    assert got.content == b"x" * size


def test_a_body_over_the_bound_is_cut_off(lab: Lab) -> None:
    body = b"y" * (9 * 1024 * 1024)
    try:
        with _client(lab) as client:
            answer = client.post("/upload", content=body, extensions={"sni_hostname": HOST})
    except httpx2.TransportError:
        pass
    else:
        assert answer.status_code == 413
    assert not any(seen.get("size", 0) >= len(body) for seen in lab.reached)


def test_events_arrive_while_the_stream_goes_on(lab: Lab, client: httpx2.Client) -> None:
    with client.stream("GET", "/events", extensions={"sni_hostname": HOST}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: one"
        lab.portal.call(lab.tls.go_on.set)
        assert "data: two" in list(lines)


def test_a_websocket_passes_when_allowed(lab: Lab) -> None:
    with (
        lab.secure() as tunnel,
        connect(f"ws://{HOST}/socket", sock=tunnel, proxy=None) as websocket,
    ):
        for word in ("one", "two"):
            websocket.send(word)
            assert websocket.recv(timeout=20) == word
    assert [check.upgrade for check in lab.checks] == [True]
    assert lab.tls.seen[0]["type"] == "websocket"


def test_a_websocket_to_a_denied_host_is_refused(lab: Lab) -> None:
    with lab.secure(DENIED) as tunnel:
        tunnel.sendall(
            f"GET /socket HTTP/1.1\r\nHost: {DENIED}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert tunnel.recv(65536).startswith(b"HTTP/1.1 403 ")
    assert not lab.reached


def test_the_courier_is_told_whose_request_it_carries(lab: Lab, client: httpx2.Client) -> None:
    async def by_courier(check: HttpCheck) -> HttpAnswer:
        direct = lab.allow(check)
        return Courier("network[3]", direct.address, direct.port)

    with lab.deciding(by_courier):
        answer = client.get(
            "/v1/x?y", headers={"x-stockade-rule": "x"}, extensions={"sni_hostname": HOST}
        )
    assert answer.status_code == 200
    told = answer.json()
    assert {k: v for k, v in told["headers"].items() if k.startswith("x-stockade")} == {
        "x-stockade-session": str(ALICE),
        "x-stockade-destination": f"[::ffff:{NAMES[HOST]}]:443",
        "x-stockade-host": HOST,
        "x-stockade-scheme": "https",
        "x-stockade-address": f"127.0.0.1:{lab.tls.port}",
        "x-stockade-rule": "network[3]",
        "x-stockade-route": "courier",
    }
    assert told["target"] == "/v1/x?y"
    assert not lab.reached


def test_a_name_without_a_connection_gets_no_certificate(lab: Lab) -> None:
    with pytest.raises(ssl.SSLError), lab.secure(server_name="evil.example.test"):
        pass
    assert not lab.checks


def test_a_request_for_another_host_than_the_connections_is_refused(lab: Lab) -> None:
    with lab.door(OTHER), lab.secure(OTHER):
        pass  # so that Envoy has a certificate for it
    fronted = [
        (HOST, OTHER),  # the Host header lies
        (OTHER, HOST),  # the server name lies
        (OTHER, OTHER),  # both do, about the connection
    ]
    for server_name, host in fronted:
        with lab.secure(HOST, server_name=server_name) as tunnel:
            tunnel.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = answer_of(tunnel)
            assert answer.startswith(b"HTTP/1.1 421 "), (server_name, host, answer)
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["rule"] == "egress.http"
    assert not lab.checks
    assert not lab.reached


def test_sessions_cannot_pass_as_one_another(lab: Lab) -> None:
    request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    with lab.raw(session=BOB) as connection:
        connection.sendall(request)
        assert answer_of(connection).startswith(b"HTTP/1.1 200 ")
    assert [check.session for check in lab.checks] == [BOB]
    lab.forget()
    version2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\xc6\x12\0\x01\0\x01\0\x50"
    for header in (b"PROXY TCP4 10.0.0.1 198.18.0.1 1 80\r\n", version2):
        with lab.raw(session=BOB) as connection:
            connection.sendall(header + request)
            assert b" 200 " not in answer_of(connection)
    assert not [check for check in lab.checks if check.session != BOB]
    assert not lab.reached


def test_nothing_is_allowed_while_the_judge_hangs_or_fails(lab: Lab) -> None:
    async def hang(check: HttpCheck) -> HttpAnswer:
        await anyio.sleep_forever()
        return lab.allow(check)

    async def fail(check: HttpCheck) -> HttpAnswer:
        raise RuntimeError("s3cret")

    for decide in (hang, fail):
        with lab.deciding(decide), _client(lab) as client:
            answer = _get(client, "/")
            assert answer.status_code == 503
            assert answer.json()["reason"] == "ext_authz_error"
            assert "s3cret" not in answer.text
    assert not lab.reached
    with _client(lab) as client:
        assert _get(client, "/").status_code == 200


def test_envoy_comes_back_by_itself_when_it_was_killed(lab: Lab, eventually: Eventually) -> None:
    with lab.secure() as tunnel:
        tunnel.sendall(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert tunnel.recv(65536).startswith(b"HTTP/1.1 200 ")
        killed = lab.proxy.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert b"data: two" not in answer_of(tunnel)  # cut off, not completed
    lab.portal.call(lab.tls.go_on.set)

    def works() -> bool:
        try:
            with _client(lab) as client:
                return _get(client, "/").status_code == 200
        except httpx2.TransportError:
            pass
        return False

    eventually(works, "Envoy answers again")
    assert lab.proxy.pid not in {None, killed}


def test_envoy_says_nothing_of_a_secret_and_listens_on_no_port(lab: Lab) -> None:
    with _client(lab) as client:
        assert _get(client, "/").status_code == 200
    pid = lab.proxy.pid
    process = Path(f"/proc/{pid}")
    assert (process / "environ").read_bytes() == b""
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True)
    assert f"pid={pid}," not in listening.stdout
    words = (process / "cmdline").read_bytes().split(b"\0")
    private = Path(os.fsdecode(words[words.index(b"--config-path") + 1])).parent
    assert private.stat().st_mode & 0o777 == 0o700
    written = [path.read_bytes() for path in private.iterdir() if path.is_file()]
    assert not any(b"PRIVATE KEY" in content for content in written)
    assert not any(b"PRIVATE KEY" in word for word in words)
