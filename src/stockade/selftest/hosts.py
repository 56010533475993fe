"""The hosts of our own internet: web servers, one that believes all it gets, and echoes."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import anyio
from anyio.streams.tls import TLSListener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anyio.abc import ByteStream, SocketStream

App = Any
"""An ASGI application."""

API, NAIVE, DATABASE = "api.example.com", "naive.example.com", "db.example.com"
EVIL, OTHER, TURNING = "evil.example.net", "other.example.com", "turning.example.com"
ADDRESSES = {
    API: "93.184.216.34",
    OTHER: "93.184.216.35",
    DATABASE: "93.184.216.36",
    TURNING: "93.184.216.37",
    NAIVE: "93.184.216.38",
    EVIL: "93.184.216.66",
}
METADATA, PRIVATE, LOOPBACK = "169.254.169.254", "10.0.0.5", "127.0.0.1"
INSIDE = (METADATA, PRIVATE, LOOPBACK)
"""Addresses at which an echo listens that nobody may reach."""
LEADING_INSIDE = {
    "loopback.example.com": LOOPBACK,
    "metadata.example.com": METADATA,
    "private.example.com": PRIVATE,
}
TCP_PORT = 5432
_MOST = 256 * 1024  # bytes of a request that the believing host takes
_QUIET = 0.5  # seconds after which no more of a request is expected


class Web:
    """An application that says, and notes, what it was asked.

    ``/redirect`` leads to the evil host and ``/public/redirect?code=CODE&to=URL`` anywhere;
    ``/bytes/N`` gives N bytes.
    """

    def __init__(self, host: str, note: Callable[..., None]) -> None:
        self._host, self._note = host, note

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; what a WebSocket asks is noted too."""
        headers = {key.decode(): value.decode("latin-1") for key, value in scope["headers"]}
        path = scope["raw_path"].decode("latin-1")
        asked = {"method": scope.get("method", "WEBSOCKET"), "path": path, "headers": headers}
        query = scope["query_string"].decode("latin-1")
        body = b""
        while scope["type"] == "http":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        text = body[:400].decode("latin-1")
        self._note(kind="request", host=self._host, query=query, body=len(body), text=text, **asked)
        if scope["type"] != "http":
            return
        location = []
        status = 200
        if path == "/redirect":
            status, location = 302, [(b"location", b"https://evil.example.net/stolen")]
        elif path in ("/public/redirect", "/given/redirect"):
            wanted = parse_qs(query)
            status = int(wanted["code"][0])
            location = [(b"location", wanted["to"][0].encode())]
        answer = json.dumps({"host": self._host, **asked}).encode()
        if path.startswith("/bytes/"):
            answer = bytes(int(path.rpartition("/")[2]))
        fields = [(b"content-type", b"application/json"), *location]
        fields.append((b"content-length", b"%d" % len(answer)))
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": answer})


async def naive(certificate: Path, note: Callable[..., None]) -> None:
    """Serve a host that notes each byte it gets, as it came, and understands none of them."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def answer(client: ByteStream) -> None:
        received = b""
        async with client:
            while b"\r\n\r\n" not in received and len(received) < _MOST:
                try:
                    received += await client.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    break
            with anyio.move_on_after(_QUIET):
                while len(received) < _MOST:
                    try:
                        received += await client.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        break
            note(kind="bytes", host=NAIVE, text=received.decode("latin-1"))
            try:
                await client.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
                )
            except anyio.BrokenResourceError:
                return  # who asked has gone

    where = ADDRESSES[NAIVE]
    by_tls = TLSListener(
        await anyio.create_tcp_listener(local_host=where, local_port=443),
        context,
        standard_compatible=False,
    )
    plain = await anyio.create_tcp_listener(local_host=where, local_port=80)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(by_tls.serve, answer)
        tasks.start_soon(plain.serve, answer)


async def echo(name: str, address: str, port: int, note: Callable[..., None]) -> None:
    """Serve a host that sends back what comes."""

    async def answer(client: SocketStream) -> None:
        note(kind="connection", host=name, port=port)
        async with client:
            try:
                while True:
                    await client.send(await client.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return  # who came has gone

    listener = await anyio.create_tcp_listener(local_host=address, local_port=port)
    await listener.serve(answer)
