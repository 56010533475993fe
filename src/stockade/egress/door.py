"""The door of one session: whatever its machine opens towards the network arrives here.

Whose it is, the channel tells, and never the machine. The machine says where to; the host finds out
what that means, asks the gate, resolves the name itself and connects, or does not.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Literal, Protocol

import anyio

from stockade.egress.addresses import UnreachableError, addresses_of, literal, look_up
from stockade.egress.names import Names
from stockade.egress.resolver import QUESTION, Resolver
from stockade.egress.streams import carry
from stockade.model.action import Connection
from stockade.model.errors import MachineError, StockadeError
from stockade.model.network import Protocol as Spoken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from collections.abc import Set as AbstractSet
    from ipaddress import IPv4Address

    from anyio.abc import ByteStream

    from stockade.egress.addresses import Address, Resolve
    from stockade.egress.streams import GuestStream
    from stockade.model.action import Action
    from stockade.model.verdict import Verdict

_CONNECT = 10.0  # seconds for an upstream to take a connection
_DNS = 53
_QUESTION_TIME = 5.0


class Grants(Protocol):
    """What of the network a profile names."""

    def protocols(self, host: str, port: int) -> AbstractSet[Spoken]:
        """How ``host`` may be spoken to at ``port``; nothing if it may not."""
        ...

    def name(self, host: str) -> bool:
        """Whether a grant has this very host written out."""
        ...


class Inspector(Protocol):
    """Where connections go whose requests are decided one by one."""

    async def connect(self, destination: IPv4Address, host: str, port: int) -> ByteStream:
        """A stream on which the machine's own bytes are expected.

        ``destination`` stands for ``host`` in this session. ``StockadeError`` if there is none now.
        """
        ...


class Door:
    """Serves the streams that one session's machine opens."""

    def __init__(
        self,
        grants: Grants,
        submit: Callable[[Action], Awaitable[Verdict]],
        *,
        inspector: Inspector | None = None,
        resolve: Resolve = look_up,
    ) -> None:
        self._grants, self._submit = grants, submit
        self._inspector = inspector
        self._resolve = resolve
        self._names = Names()
        self._resolver = Resolver(self._names, submit)
        self.sent = self.received = 0

    async def serve(self, stream: GuestStream, opening: bytes) -> None:
        """Do what the machine wants of ``stream``, as its opening payload says."""
        kind, address, port = _read(opening)
        try:
            if kind == b"question" and address:
                await self._answer(stream)
            elif kind == b"connect" and address:
                await self._connect(stream, address, port)
            else:
                stream.abandon("not understood")
        except (MachineError, BrokenPipeError):
            stream.abandon("the machine has given it up")

    async def _answer(self, stream: GuestStream) -> None:
        with anyio.move_on_after(_QUESTION_TIME):
            question = b""
            while chunk := await stream.receive():
                question += chunk
                if len(question) > QUESTION:
                    break
            else:
                if answer := await self._resolver.answer(question):
                    await stream.send(answer)
                    stream.end()
                    return
        stream.abandon("not answered")

    async def _connect(self, stream: GuestStream, address: Address, port: int) -> None:
        host = self._names.name(address) or str(address)
        if port == _DNS and literal(host):
            await self._answer_over_tcp(stream)
            return
        spoken = self._grants.protocols(host, port)
        if self._inspector and spoken & {Spoken.HTTP, Spoken.HTTPS}:
            await self._inspect(stream, self._inspector, host, port)
            return
        protocol: Literal["ssh", "tcp"] = "ssh" if Spoken.SSH in spoken else "tcp"
        verdict = await self._submit(Connection(protocol=protocol, host=host, port=port))
        if not verdict.allowed:
            stream.abandon(f"refused: {verdict.reason}")
            return
        try:
            upstream = await self._reach(host, port)
        except UnreachableError as error:
            stream.abandon(str(error))
            return
        await carry(stream, upstream, count=self._count)

    async def _inspect(
        self, stream: GuestStream, inspector: Inspector, host: str, port: int
    ) -> None:
        try:
            inside = await inspector.connect(self._names.address(host), host, port)
        except StockadeError as error:
            stream.abandon(str(error))
            return
        await carry(stream, inside, count=self._count)

    async def _answer_over_tcp(self, stream: GuestStream) -> None:
        """Serve a resolver's connection: messages after their lengths (RFC 1035, section 4.2.2)."""
        received = b""
        with anyio.move_on_after(_QUESTION_TIME):
            while chunk := await stream.receive():
                received += chunk
                while len(received) >= 2:
                    size = int.from_bytes(received[:2], "big")
                    if size > QUESTION:
                        stream.abandon("too long a question")
                        return
                    if len(received) < 2 + size:
                        break
                    answer = await self._resolver.answer(received[2 : 2 + size])
                    await stream.send(len(answer).to_bytes(2, "big") + answer)
                    received = received[2 + size :]
        stream.end()

    async def _reach(self, host: str, port: int) -> ByteStream:
        failure: OSError | None = None
        meant = self._grants.name(host)
        for address in await addresses_of(host, self._resolve, meant=meant):
            try:
                with anyio.fail_after(_CONNECT):
                    return await anyio.connect_tcp(address, port)
            except OSError as error:
                failure = error
        raise UnreachableError(f"{host} does not answer at port {port}: {failure or 'no address'}")

    def _count(self, sent: int, received: int) -> None:
        self.sent += sent
        self.received += received


def _read(opening: bytes) -> tuple[bytes, Address | None, int]:
    """Kind, address and port of an opening payload (see ``stockade.guest.network``)."""
    if len(opening) < 18:
        return b"", None, 0
    kind, packed, port = opening[:-18], opening[-18:-2], int.from_bytes(opening[-2:], "big")
    address = IPv6Address(packed)
    return kind, address.ipv4_mapped or address, port
