"""The courier on a socket, and real servers on loopback for it to talk to."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import uvicorn
from anyio.abc import SocketAttribute
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stockade.egress.courier.app import Courier
from stockade.egress.courier.carrier import Carrier, Patience
from stockade.egress.courier.errand import Delivery, Errand, Order
from stockade.egress.courier.server import serve
from stockade.egress.courier.upstream import Upstreams
from stockade.egress.credentials.secret import Secret
from stockade.egress.models.door import ModelDoor
from stockade.model.action import Action
from stockade.model.credentials import Credential
from stockade.model.usage import Usage
from stockade.model.verdict import Effect, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from anyio.abc import SocketStream
    from starlette.types import ASGIApp

KEY = 'sk-Test/7f3A+bé~9&x"Q'  # has a character for each way of escaping
PLAIN_KEY = "sk-test-0123456789abcdefXYZ"
SESSION = "session-1"
LOOPBACK = ip_address("127.0.0.1")


def delivery(secret: str = PLAIN_KEY, name: str = "key", **credential: Any) -> Delivery:
    """A credential with a secret that is simply there."""
    value = Credential.model_validate({"from": "env:UNUSED", **credential})
    return Delivery(name, value, Secret(secret, origin="a test"))


def errand(port: int, **changes: Any) -> Errand:
    """A request in the clear to a server on loopback that calls itself api.test."""
    plain = Errand(SESSION, "http", "api.test", port, [LOOPBACK])
    return replace(plain, **changes)


@cache
def certificates(name: str = "api.test") -> tuple[str, str]:
    """A certificate for ``name``, signed by itself, and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def upstream(app: ASGIApp, *, tls: tuple[str, str] | None = None) -> AsyncIterator[int]:
    """Serve ``app`` by uvicorn on loopback; gives the port."""
    with TemporaryDirectory() as folder:
        files: dict[str, Any] = {}
        for option, pem in zip(("ssl_certfile", "ssl_keyfile"), tls or (), strict=False):
            files[option] = f"{folder}/{option}"
            await anyio.Path(files[option]).write_text(pem)
        config = uvicorn.Config(
            app, lifespan="off", log_level="critical", loop="asyncio", http="h11", **files
        )
        server = _Quiet(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with anyio.create_task_group() as group:
                group.start_soon(server.serve, [listener])
                try:
                    yield listener.getsockname()[1]
                finally:
                    server.should_exit = server.force_exit = True


@asynccontextmanager
async def scripted(handler: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """A server of plain TCP for answers that no library would give; gives the port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port: int = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's

    async def serve_one(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                await handler(stream)

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve_one)
        try:
            yield port
        finally:
            group.cancel_scope.cancel()


async def read_head(stream: SocketStream) -> bytes:
    """Read a request's head."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
    return head


def saying(answer: bytes, *, then_wait: bool = False) -> Callable[[SocketStream], Awaitable[None]]:
    """Answer every connection with the same bytes, then close it or leave it hanging."""

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        await stream.send(answer)
        if then_wait:
            await anyio.sleep_forever()

    return handler


ORDER = Order(SESSION, "api.test", "https", "192.0.2.7:443", "network[0]")


@dataclass
class Rig:
    """A courier that serves, what it is told to do, and what it told."""

    client: httpx2.AsyncClient
    app: Courier = field(init=False)
    door: ModelDoor = field(init=False)
    errand: Errand | None = None
    asked: list[Order] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    verdict: Verdict = field(
        default_factory=lambda: Verdict(effect=Effect.ALLOW, rule="models[0]", reason="granted")
    )
    unsettled: bool = False

    async def lookup(self, order: Order) -> Errand | None:
        self.asked.append(order)
        return self.errand

    async def submit(self, session: str, action: Action) -> Verdict:
        assert session == SESSION
        self.actions.append(action)
        return self.verdict

    async def settle(self, session: str, usage: Usage) -> None:
        assert session == SESSION
        if self.unsettled:
            raise OSError(f"disk full, {PLAIN_KEY}")
        self.usages.append(usage)


@asynccontextmanager
async def courier(
    first: Errand | None = None,
    *,
    trust: str | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[Rig]:
    """Serve a courier whose requests all run ``first`` until the rig's errand is changed."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "courier")
        headers = {f"x-stockade-{name}": value for name, value in asdict(ORDER).items()}
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        port = first.port if first else 1
        client = httpx2.AsyncClient(
            transport=transport,
            base_url=f"http://api.test:{port}",
            headers=headers,
            timeout=30,
            trust_env=False,
        )
        rig = Rig(client, first)
        upstreams = Upstreams(ssl.create_default_context(cadata=trust) if trust else None)
        carrier = Carrier(upstreams, patience)
        rig.door = ModelDoor(carrier, rig.submit, rig.settle)
        rig.app = Courier(rig.lookup, carrier, rig.door)
        try:
            async with serve(rig.app, path), client:
                yield rig
        finally:
            await upstreams.aclose()
