"""MCP over HTTP on this machine alone (transport ``streamable HTTP``), for who has the token.

A web page in the user's browser can send requests to loopback too: that is what the checks of Host
and Origin are for, and the token, which no page knows.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from stockade.model.errors import StockadeError, UsageError
from stockade.tools.mcp.server import MAX_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.server.lowlevel import Server
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH: Final = "/mcp"
MAX_CLIENTS: Final = 64
"""Sessions at once, and connections at once."""
IDLE: Final = 30 * 60.0
"""Seconds after which a session that nobody uses is forgotten."""


def listen(address: str) -> socket.socket:
    """Listen on ``HOST:PORT`` of loopback; port 0 is any that is free."""
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdecimal() or len(port) > 5 or int(port) > 65_535:
        raise UsageError(f"{address!r:.80} is not HOST:PORT", hint="Write 127.0.0.1:8750.")
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        ip = None
    if ip is None or not ip.is_loopback:
        raise UsageError(
            f"{host!r:.80} is not an address of loopback",
            hint="The token would travel in the clear; serve 127.0.0.1 and put TLS before it.",
        )
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((str(ip), int(port)))
        found.listen(MAX_CLIENTS)
    except OSError as error:
        found.close()
        raise StockadeError(f"cannot listen on {address}: {error.strerror}") from None
    return found


def url_of(listening: socket.socket) -> str:
    """Where clients reach what is served on a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{_bracketed(host)}:{port}{PATH}"


def make_app(server: Server[Any], listening: socket.socket, token: str) -> ASGIApp:
    """The application that is served on a socket."""
    host, port = listening.getsockname()[:2]
    names = [f"{name}:{port}" for name in sorted({_bracketed(host), "localhost"})]
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=MAX_MESSAGE,
        max_sessions=MAX_CLIENTS,
        session_idle_timeout=IDLE,
        transport_security=TransportSecuritySettings(
            allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names]
        ),
    )
    return Bearer(app, token)


async def serve_http(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until cancelled, and close the socket."""
    config = uvicorn.Config(
        app,
        # The other parser, taken by itself where it is installed, leaves white space at the end of
        # a header's value, which is none of it (RFC 9112, section 5.1).
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        limit_concurrency=MAX_CLIENTS,
        timeout_graceful_shutdown=1,
    )
    with listening:
        await _Server(config).serve(sockets=[listening])


class Bearer:
    """Lets a request on to ``app`` only if it carries the token (RFC 6750)."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        if scope["type"] != "lifespan":
            given = Headers(scope=scope).get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, self._expected):
                challenge = {"WWW-Authenticate": 'Bearer realm="stockade"'}
                refusal = PlainTextResponse("a bearer token is required\n", 401, challenge)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """Leaves signals to the process that it is a part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
