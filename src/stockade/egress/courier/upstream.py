"""Connections to where requests go: to vetted addresses alone, verified, kept for a while.

What httpx2 stands on, httpcore2, is used without it: a request goes out byte for byte as it was
decided on, and no redirect is followed, no proxy asked, no cookie kept and no address logged.
"""

from __future__ import annotations

import logging
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING

import anyio
import httpcore2

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from stockade.egress.courier.errand import Errand

_MAX_POOLS = 256
_MAX_CONNECTIONS = 32
_MAX_IDLE = 4
_IDLE_SECONDS = 30.0

_Key = tuple[str, str, str, int, tuple[str, ...]]


def _mute(_: logging.LogRecord) -> bool:
    return False


def silence() -> None:
    """Keep the library from logging, at any level: its messages hold the fields of answers."""
    for part in ("connection", "http11", "http2", "proxy", "socks"):
        # A filter holds whatever level somebody sets later on.
        logger = logging.getLogger(f"httpcore2.{part}")
        if _mute not in logger.filters:
            logger.addFilter(_mute)


class _Vetted(httpcore2.AsyncNetworkBackend):
    """Connects to given addresses, whatever name is asked for."""

    def __init__(self, addresses: Sequence[IPv4Address | IPv6Address]) -> None:
        self._addresses = [str(address) for address in addresses]
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - has been resolved and vetted
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError()
        for address in self._addresses:
            try:
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class Upstreams:
    """The pools of connections of all sessions; no session uses another's connection."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        silence()
        self._tls = tls or ssl.create_default_context()
        self._pools: OrderedDict[_Key, httpcore2.AsyncConnectionPool] = OrderedDict()

    async def pool(self, errand: Errand) -> httpcore2.AsyncConnectionPool:
        """The pool for where ``errand`` goes."""
        addresses = tuple(str(address) for address in errand.addresses)
        key = (errand.session, errand.scheme, errand.host, errand.port, addresses)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = httpcore2.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=_MAX_CONNECTIONS,
                max_keepalive_connections=_MAX_IDLE,
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=_Vetted(errand.addresses),
            )
        self._pools.move_to_end(key)
        await self._drop_oldest()
        return pool

    async def forget(self, session: str) -> None:
        """Close the connections of a session that is over."""
        for key in [key for key in self._pools if key[0] == session]:
            await self._pools.pop(key).aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.aclose()

    async def _drop_oldest(self) -> None:
        # A pool in use stays: there are no more of those than requests that are on their way.
        spare = len(self._pools) - _MAX_POOLS
        for key in list(self._pools)[: max(0, spare)]:
            if all(connection.is_idle() for connection in self._pools[key].connections):
                await self._pools.pop(key).aclose()
