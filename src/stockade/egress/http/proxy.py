"""The way into Envoy for a door: one connection of a guest at a time."""

from __future__ import annotations

import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
from anyio.abc import SocketStream

from stockade.egress.http import proxyprotocol
from stockade.egress.http.authorizer import Authorizer
from stockade.egress.http.certificates import Certificates
from stockade.egress.http.config import Bounds, Sockets, bootstrap
from stockade.egress.http.envoy import Envoy
from stockade.egress.http.folder import private_folder
from stockade.egress.http.service import serve
from stockade.model.errors import StockadeError

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from types import TracebackType

    from anyio.abc import TaskGroup

    from stockade.egress.http.authority import Authority
    from stockade.egress.http.check import Judge

_CONNECT = 5.0  # seconds
_DEBIAN_CA = Path("/etc/ssl/certs/ca-certificates.crt")


class HttpProxy:
    """Envoy and what it asks, for all sessions of this process; started by the first connection.

    ``judge`` decides each request. ``folder`` is a directory that others cannot write to, and in
    which a private one is made. ``courier`` is the Unix socket of who carries what Envoy should
    not; ``upstream_ca`` a PEM file of authorities for the hosts', by default the system's.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        authority: Authority,
        folder: Path,
        courier: Path | None = None,
        upstream_ca: Path | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._bounds = bounds or Bounds()
        self._authorizer = Authorizer(judge, patience=self._bounds.patience)
        self._certificates = Certificates(authority)
        self._parent, self._courier = folder, courier
        self._upstream_ca = upstream_ca or _system_ca()
        self._starting = anyio.Lock()
        self._envoy: Envoy | None = None
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None
        self._doors = Path()

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        return await self._stack.__aexit__(kind, error, trace)

    @property
    def pid(self) -> int | None:
        """Envoy's process id, or None while there is none."""
        return self._envoy.pid if self._envoy else None

    async def connect(
        self, session: IPv6Address, destination: IPv4Address, port: int, host: str
    ) -> SocketStream:
        """Open a connection for a guest; what it sends is HTTP or TLS from the first byte on.

        ``session`` is whom the judge is told it is for; ``host``, in lower case, is the name that
        stands for ``destination`` in that session, and the only one that requests may name.
        StockadeError if Envoy is not running just now.
        """
        greeting = proxyprotocol.header(session, destination, port, host)
        async with self._starting:
            if self._envoy is None:
                await self._start()
        self._certificates.expect(host)
        try:
            with anyio.fail_after(_CONNECT):
                stream = await _connect(self._doors)
                try:
                    await stream.send(greeting)
                except BaseException:
                    await anyio.aclose_forcefully(stream)
                    raise
        except (OSError, anyio.BrokenResourceError):
            raise StockadeError(
                "the HTTP proxy is not running at the moment",
                hint="It is being started again; try once more in a few seconds.",
            ) from None
        return stream

    async def _start(self) -> None:
        if self._tasks is None:
            raise RuntimeError("the proxy has not been entered")
        await self._tasks.start(self._run)

    async def _run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with private_folder(self._parent) as folder:
            sockets = Sockets(
                doors=folder / "doors",
                authorizer=folder / "authorizer",
                certificates=folder / "certificates",
                courier=self._courier,
            )
            configuration = bootstrap(sockets, self._upstream_ca, self._bounds)
            async with (
                serve(self._authorizer, sockets.authorizer),
                self._certificates.serve(sockets.certificates),
                anyio.create_task_group() as tasks,
            ):
                envoy = Envoy(configuration, folder, sockets.doors)
                await tasks.start(envoy.run)
                self._doors, self._envoy = sockets.doors, envoy
                task_status.started()


async def _connect(path: Path) -> SocketStream:
    """Connect; unlike anyio's own for Unix sockets, this stream logs nothing when cancelled."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connecting:
        connecting.setblocking(False)
        # Between processes of one host this is done at once, or not at all.
        connecting.connect(str(path))
        return await SocketStream.from_socket(connecting.detach())


def _system_ca() -> Path:
    found = ssl.get_default_verify_paths().cafile
    for path in (found, _DEBIAN_CA):
        if path and Path(path).is_file():
            return Path(path)
    raise StockadeError(
        "no file of certificate authorities was found", hint="Run: apt install ca-certificates"
    )
