"""Serves an ASGI application on a Unix socket, as a part of this process."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
import uvicorn

from stockade.model.errors import StockadeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

_BACKLOG = 1024
_CONNECTIONS = 4096
_START = 10.0  # seconds


@asynccontextmanager
async def serve(app: ASGIApp, path: Path) -> AsyncIterator[None]:
    """Serve ``app`` on a new socket at ``path``, which only its folder protects, until the end."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=3600,  # Envoy closes its own connections
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                # Shielded: uvicorn ends by being told to, and closes its connections on the way.
                with anyio.CancelScope(shield=True):
                    await server.serve(sockets=[listening])

            tasks.start_soon(run)
            try:
                with anyio.move_on_after(_START):
                    await server.ready.wait()
                if not server.started:
                    raise StockadeError("a service within Stockade did not start")
                yield
            finally:
                server.should_exit = True


class Server(uvicorn.Server):
    """Leaves signals to the process that it is a part of, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them as they are."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve ``sockets``."""
        await super().startup(sockets)
        self.ready.set()
