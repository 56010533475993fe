"""Gives Envoy the certificate of a host in the moment in which a guest connects to it.

Envoy's secret discovery service (SDS, the delta variant over gRPC). Names come from a guest's
ClientHello: only those that a door has opened a connection to are given a certificate. Envoy is
told of every other that there is none, upon which it fails the handshake and forgets the name.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Server, Stream

from stockade.egress.http import discovery
from stockade.egress.http.authority import LEAF_LIFE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from stockade.egress.http.authority import Authority, Leaf

MAX_NAMES = 1024  # hosts whose certificates are kept, here and in Envoy

_LOOK = 900.0  # seconds between looks at how old the certificates in use are


class Certificates:
    """The leaves of the hosts that may be connected to, for at most ``MAX_NAMES`` at a time."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._leaves: OrderedDict[str, Leaf | None] = OrderedDict()

    def expect(self, host: str) -> None:
        """Be ready for a connection to ``host``; the host longest not connected to is dropped."""
        self._leaves.setdefault(host, None)
        self._leaves.move_to_end(host)
        if len(self._leaves) > MAX_NAMES:
            self._leaves.popitem(last=False)

    def leaf(self, host: str) -> Leaf | None:
        """The certificate of an expected host, young enough to be used; otherwise None."""
        if host not in self._leaves:
            return None
        leaf = self._leaves[host]
        if leaf is None or leaf.expires - datetime.now(UTC) < LEAF_LIFE / 2:
            leaf = self._leaves[host] = self._authority.issue(host)
        return leaf

    @asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[None]:
        """Answer Envoy on a Unix socket, which only its folder protects."""
        server = Server([self], codec=_Bytes())
        await server.start(path=str(path))
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    def __mapping__(self) -> dict[str, Handler]:
        """Tell grpclib what is served."""
        return {discovery.SERVICE: Handler(self._answer, Cardinality.STREAM_STREAM, bytes, bytes)}

    async def _answer(self, stream: Stream[bytes, bytes]) -> None:
        """Follow one subscription of Envoy's, and renew what it has before that expires."""
        given: dict[str, Leaf] = {}
        # Envoy goes away in the middle of a stream, which is how every one of them ends.
        with suppress(StreamTerminatedError, ConnectionError):
            receiving = asyncio.ensure_future(stream.recv_message())
            try:
                while True:
                    done, _ = await asyncio.wait({receiving}, timeout=_LOOK)
                    if done:
                        if (request := receiving.result()) is None:
                            return
                        subscribed, given_up = discovery.asked_for(request)
                        for name in given_up:
                            given.pop(name, None)
                        for name in subscribed:
                            await self._tell(stream, name, given)
                        receiving = asyncio.ensure_future(stream.recv_message())
                    for name in [name for name in given if self.leaf(name) is not given[name]]:
                        await self._tell(stream, name, given)
            finally:
                receiving.cancel()

    async def _tell(self, stream: Stream[bytes, bytes], name: str, given: dict[str, Leaf]) -> None:
        leaf = self.leaf(name.lower())
        if leaf is None:
            given.pop(name, None)
            await stream.send_message(discovery.told(name, "none", None))
            return
        given[name] = leaf
        nonce = leaf.expires.isoformat()
        await stream.send_message(discovery.told(name, nonce, (leaf.certificate, leaf.key)))


class _Bytes(CodecBase):
    """Leaves messages as they are; reading and writing them is for ``discovery``."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:  # noqa: ARG002 - grpclib's
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:  # noqa: ARG002 - grpclib's
        return data
