"""A real Envoy between real clients and real upstream servers, all on loopback.

A listener on 127.0.0.1 stands where a machine's door will: what connects to it is, for Envoy, a
guest's connection of one session to one host.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import anyio
import hypercorn.asyncio
from anyio.abc import ByteStream, SocketAttribute, TaskStatus
from anyio.from_thread import BlockingPortal
from hypercorn.config import Config

from stockade.egress.http.authority import Authority
from stockade.egress.http.check import Direct, HttpAnswer, HttpCheck, Refusal
from stockade.egress.http.config import Bounds
from stockade.egress.http.proxy import HttpProxy
from stockade.egress.http.service import serve
from stockade.model.errors import StockadeError

ALICE, BOB = IPv6Address("fd00::a"), IPv6Address("fd00::b")
HOST, OTHER, DENIED = "api.example.test", "other.example.test", "denied.example.test"
SECRET_BODY = b"only for who is allowed"
NAMES = {HOST: IPv4Address("198.18.0.1"), OTHER: IPv4Address("198.18.0.2")}
NAMES |= {DENIED: IPv4Address("198.18.0.3")}
PATIENCE = 20.0

Decide = Callable[[HttpCheck], Awaitable[HttpAnswer]]


@dataclass
class Upstream:
    """An HTTP/1.1, HTTP/2 and WebSocket server; ``seen`` is every request that reached it."""

    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    handshakes: list[str] = field(default_factory=list)
    go_on: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        headers = {key.decode(): value.decode("latin-1") for key, value in scope["headers"]}
        seen = {"type": scope["type"], "path": scope["raw_path"].decode("latin-1")}
        seen |= {"query": scope["query_string"].decode("latin-1"), "headers": headers}
        seen |= {"version": scope["http_version"], "method": scope.get("method", "")}
        self.seen.append(seen)
        if scope["type"] == "websocket":
            await self._echo(receive, send)
            return
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        if scope["path"] == "/events":
            await self._events(send)
            return
        if scope["path"].startswith("/bytes/"):
            await self._bytes(send, int(scope["path"].rpartition("/")[2]))
            return
        body = json.dumps({**seen, "size": size}).encode()
        await _start(send, b"application/json")
        await send({"type": "http.response.body", "body": body})

    async def _events(self, send: Any) -> None:
        """Send one event, and the second only once the test has seen the first."""
        await _start(send, b"text/event-stream")
        await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"data: two\n\n"})

    async def _bytes(self, send: Any, count: int) -> None:
        await _start(send, b"application/octet-stream")
        for _ in range(count // 65536):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b"x" * (count % 65536)})

    async def _echo(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


async def _start(send: Any, kind: bytes) -> None:
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


@asynccontextmanager
async def serving(upstream: Upstream, certificate: Path | None) -> AsyncIterator[None]:
    """Serve an upstream on a free port of 127.0.0.1, by TLS with ``certificate`` if one is given.

    The file has the key and the chain.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        upstream.port = listening.getsockname()[1]
        config = Config()
        listening.set_inheritable(True)
        config.bind = [f"fd://{listening.detach()}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 0.1
        if certificate is not None:
            config.certfile = config.keyfile = str(certificate)
            config.alpn_protocols = ["h2", "http/1.1"]
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_serve, upstream, config, stop)
            try:
                yield
            finally:
                stop.set()


async def _serve(upstream: Upstream, config: Config, stop: anyio.Event) -> None:
    await hypercorn.asyncio.serve(upstream, config, shutdown_trigger=stop.wait)


def make_certificate(authority: Authority, path: Path, *hosts: str) -> Path:
    """Write a key and a chain for the first of ``hosts`` signed by ``authority``."""
    leaf = authority.issue(hosts[0])
    path.write_bytes(leaf.key + leaf.certificate)
    return path


@dataclass
class Lab:
    """What the tests hold: the proxy, the judge's questions, and who is behind it."""

    portal: BlockingPortal
    folder: Path
    proxy: HttpProxy
    authority: Authority
    tls: Upstream
    plain: Upstream
    checks: list[HttpCheck] = field(default_factory=list)
    decide: Decide | None = None

    async def judge(self, check: HttpCheck) -> HttpAnswer:
        """Allow all but one host, unless a test decides otherwise."""
        self.checks.append(check)
        if self.decide is not None:
            return await self.decide(check)
        if check.host == DENIED:
            return Refusal("network[1]", "not granted", "GET is granted", "stockade approvals")
        return self.allow(check)

    def allow(self, check: HttpCheck) -> Direct:
        """Allow a request, to the upstream that speaks its scheme."""
        upstream = self.tls if check.scheme == "https" else self.plain
        return Direct(IPv4Address("127.0.0.1"), upstream.port)

    @contextmanager
    def deciding(self, decide: Decide) -> Iterator[None]:
        """Let ``decide`` be the judge for a while."""
        self.decide = decide
        try:
            yield
        finally:
            self.decide = None

    @property
    def reached(self) -> list[dict[str, Any]]:
        """All requests that reached any upstream."""
        return self.tls.seen + self.plain.seen

    def forget(self) -> None:
        """Begin a new test."""
        for listing in (self.checks, self.tls.seen, self.plain.seen):
            listing.clear()
        self.tls.go_on = anyio.Event()

    @contextmanager
    def door(
        self, host: str = HOST, port: int = 443, session: IPv6Address = ALICE
    ) -> Iterator[int]:
        """A port of 127.0.0.1 that is ``host`` for a session; connections may fail closed."""
        door = partial(_door, self.proxy, session, host, port)
        running, local = self.portal.start_task(door)
        try:
            yield local
        finally:
            running.cancel()

    @contextmanager
    def raw(self, host: str = HOST, session: IPv6Address = ALICE) -> Iterator[socket.socket]:
        """A plain connection, to write anything to."""
        with (
            self.door(host, 80, session) as port,
            socket.create_connection(("127.0.0.1", port), PATIENCE) as connection,
        ):
            yield connection

    @contextmanager
    def secure(
        self, host: str = HOST, *, server_name: str | None = None, alpn: str = "http/1.1"
    ) -> Iterator[ssl.SSLSocket]:
        """A TLS connection, verified for ``server_name``, which by default is the host."""
        context = self.context()
        context.set_alpn_protocols([alpn])
        with ExitStack() as stack:
            port = stack.enter_context(self.door(host))
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            name = host if server_name is None else server_name
            yield stack.enter_context(context.wrap_socket(plain, server_hostname=name))

    def context(self) -> ssl.SSLContext:
        """What a guest that trusts the authority verifies by."""
        return ssl.create_default_context(cadata=self.authority.certificate.decode())


def answer_of(connection: socket.socket) -> bytes:
    """Read until the other end closes."""
    answer = b""
    with suppress(OSError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


async def _door(
    proxy: HttpProxy,
    session: IPv6Address,
    host: str,
    port: int,
    *,
    task_status: TaskStatus[int],
) -> None:
    async def handle(guest: ByteStream) -> None:
        async with guest:
            with suppress(StockadeError):
                envoy = await proxy.connect(session, NAMES[host], port, host)
                async with envoy, anyio.create_task_group() as tasks:
                    tasks.start_soon(_pump, guest, envoy)
                    await _pump(envoy, guest)
                    tasks.cancel_scope.cancel()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port_number: int = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
        task_status.started(port_number)
        await listener.serve(handle)


async def _pump(source: ByteStream, sink: ByteStream) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        async for chunk in source:
            await sink.send(chunk)
        await sink.send_eof()


@asynccontextmanager
async def laboratory(folder: Path, *, bounds: Bounds, courier: Any = None) -> AsyncIterator[Lab]:
    """Everything running, in ``folder``."""
    authority = Authority.load(folder / "state")
    hosts = Authority.load(folder / "hosts")
    (folder / "hosts.pem").write_bytes(hosts.certificate)
    certificate = make_certificate(hosts, folder / "upstream.pem", HOST)
    tls, plain = Upstream(), Upstream()

    async def judge(check: HttpCheck) -> HttpAnswer:
        return await lab.judge(check)

    proxy = HttpProxy(
        judge,
        authority=authority,
        folder=folder,
        courier=folder / "courier" if courier else None,
        upstream_ca=folder / "hosts.pem",
        bounds=bounds,
    )
    async with (
        serving(tls, certificate),
        serving(plain, None),
        serve(courier, folder / "courier") if courier else nullcontext(),
        proxy,
        BlockingPortal() as portal,
    ):
        lab = Lab(portal, folder, proxy, authority, tls, plain)
        yield lab


async def courier(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what Envoy told, as a courier would see it."""
    headers = {key.decode(): value.decode("latin-1") for key, value in scope["headers"]}
    target = scope["raw_path"] + b"?" + scope["query_string"]
    body = json.dumps({"headers": headers, "target": target.decode()}).encode()
    await _start(send, b"application/json")
    await send({"type": "http.response.body", "body": body})
