"""Serves an ASGI application on a Unix socket that this user alone can reach."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
import uvicorn

from stockade.egress.http.service import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

_MAX_HEAD = 64 * 1024
_MAX_REQUESTS = 512
_BACKLOG = 512
_FAREWELL = 5  # seconds


@asynccontextmanager
async def serve(app: ASGIApp, path: Path) -> AsyncIterator[None]:
    """Serve ``app`` on a socket at ``path`` as long as the context lasts.

    Its folder must be this user's own, mode 0700; PermissionError otherwise. Requests are HTTP/1.1
    with a head of 64 KiB at most, 512 at once.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="critical",  # what it would log may tell of a request
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        h11_max_incomplete_event_size=_MAX_HEAD,
        limit_concurrency=_MAX_REQUESTS,
        timeout_graceful_shutdown=_FAREWELL,
    )
    with _listener(path) as listener:
        server = Server(config)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await server.ready.wait()
            try:
                yield
            finally:
                server.should_exit = True


@contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    status = path.parent.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{path.parent} must belong to this user, with mode 0700")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        try:
            path.chmod(0o600)
            listener.listen(_BACKLOG)
            yield listener
        finally:
            path.unlink(missing_ok=True)
