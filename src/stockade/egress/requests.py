"""HTTP requests of all sessions of this process: one proxy and one courier, and what they ask.

The proxy asks about each request, by the address that its session was given; the gate decides.
What is allowed goes from the proxy to an address that was looked up and vetted here, or by the
courier if it is to be given a credential or is for a language model.
"""

from __future__ import annotations

import re
import secrets
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from stockade.egress.addresses import Resolve, UnreachableError, addresses_of, look_up
from stockade.egress.courier import app as courier
from stockade.egress.courier.carrier import Carrier
from stockade.egress.courier.errand import Delivery, Errand, Order
from stockade.egress.courier.server import serve
from stockade.egress.courier.upstream import Upstreams
from stockade.egress.http.authority import Authority
from stockade.egress.http.check import Courier, Direct, HttpAnswer, HttpCheck, Refusal
from stockade.egress.http.folder import private_folder
from stockade.egress.http.proxy import HttpProxy
from stockade.egress.models.door import ModelDoor
from stockade.model.action import Action, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from ipaddress import IPv4Address
    from pathlib import Path
    from types import TracebackType

    from anyio.abc import ByteStream

    from stockade.egress.addresses import Address
    from stockade.egress.credentials.keyring import Keyring
    from stockade.model.network import NetworkGrant
    from stockade.model.spending import ModelGrant
    from stockade.model.usage import Usage
    from stockade.model.verdict import Verdict

_PREFIX = int(IPv6Address("fd57:0c4a:de00::"))  # nobody's but this program's (RFC 4193)
_GRANT = re.compile(r"(network|models)\[([0-9]{1,5})\]")
_ASK = "Whoever runs this session can grant it in the profile: see `stockade policy explain`."


@dataclass(frozen=True)
class Client:
    """A session whose machine makes requests: what it may be given, and whom to ask about it."""

    session: str
    network: Sequence[NetworkGrant]
    models: Sequence[ModelGrant]
    keyring: Keyring
    submit: Callable[[Action], Awaitable[Verdict]]
    settle: Callable[[Usage], Awaitable[None]]
    resolve: Resolve = look_up

    def means(self, host: str) -> bool:
        """Whether a grant has this very host written out."""
        return any(grant.host == host for grant in self.network) or bool(self.provider_of(host))

    def provider_of(self, host: str) -> tuple[int, ModelGrant] | None:
        """The first grant of models that ``host`` serves, with its place."""
        for index, grant in enumerate(self.models):
            if grant.effective_host == host:
                return index, grant
        return None


class Requests:
    """The proxy and the courier, for as long as the context lasts.

    ``state`` is where the authority is kept that machines trust, ``runtime`` where sockets are.
    """

    def __init__(self, state: Path, runtime: Path, *, upstream_ca: Path | None = None) -> None:
        self._authority = Authority.load(state)
        self._runtime, self._upstream_ca = runtime, upstream_ca
        self._clients: dict[IPv6Address, Client] = {}
        self._upstreams = Upstreams()
        self._stack = AsyncExitStack()
        self._proxy: HttpProxy | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(private_folder(self._runtime))
            stack.push_async_callback(self._upstreams.aclose)
            carrier = Carrier(self._upstreams)
            app = courier.Courier(
                self._errand, carrier, ModelDoor(carrier, self._ask, self._settle)
            )
            await stack.enter_async_context(serve(app, folder / "courier"))
            self._proxy = await stack.enter_async_context(
                HttpProxy(
                    self._judge,
                    authority=self._authority,
                    folder=self._runtime,
                    courier=folder / "courier",
                    upstream_ca=self._upstream_ca,
                )
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    @property
    def authority(self) -> Authority:
        """Whom machines are to trust."""
        return self._authority

    @contextmanager
    def admit(self, client: Client) -> Iterator[Inspector]:
        """Serve a session's requests while the context lasts."""
        # Nobody can guess it, though only this process can say it to the proxy anyway.
        address = IPv6Address(_PREFIX | secrets.randbits(64))
        self._clients[address] = client
        try:
            yield Inspector(self, address)
        finally:
            del self._clients[address]

    async def connect(
        self, client: IPv6Address, destination: IPv4Address, host: str, port: int
    ) -> ByteStream:
        """Open a connection for a session; ``StockadeError`` if the proxy is not there."""
        assert self._proxy is not None  # noqa: S101 - as it has been entered
        return await self._proxy.connect(client, destination, port, host)

    async def _judge(self, check: HttpCheck) -> HttpAnswer:
        client = self._clients.get(check.session)
        if client is None:
            return Refusal("default", "the session is over")
        try:
            if check.scheme == "https" and (served := client.provider_of(check.host)):
                # The model door reads what is asked for, and asks the gate itself.
                address = await _vetted(check.host, client)
                return Courier(f"models[{served[0]}]", address, check.port)
            return await self._decide(check, client)
        except UnreachableError as error:
            return Refusal("default", str(error), error.hint)

    async def _decide(self, check: HttpCheck, client: Client) -> HttpAnswer:
        try:
            action = HttpRequest(
                method=check.method,
                scheme=check.scheme,
                host=check.host,
                port=check.port,
                path=check.path,
                query=check.query,
            )
        except ValidationError:
            return Refusal("default", "the request is too long to be recorded", status=400)
        verdict = await client.submit(action)
        if not verdict.allowed:
            return Refusal(verdict.rule, verdict.reason, verdict.hint, _ASK)
        address = await _vetted(check.host, client)
        if _credential(verdict.rule, client):
            return Courier(verdict.rule, address, check.port)
        return Direct(address, check.port)

    async def _errand(self, order: Order) -> Errand | None:
        client = self._clients.get(IPv6Address(order.session))
        if client is None:
            return None
        name, provider = _credential(order.rule, client), None
        if served := client.provider_of(order.host):
            provider = served[1].provider
        delivery = None
        if name:
            credential, secret = await client.keyring.of(name)
            delivery = Delivery(name, credential, secret)
        address, _, port = order.address.rpartition(":")
        return Errand(
            session=order.session,
            scheme="https" if order.scheme == "https" else "http",
            host=order.host,
            port=int(port),
            addresses=[ip_address(address.strip("[]"))],
            delivery=delivery,
            provider=provider,
        )

    async def _ask(self, session: str, action: Action) -> Verdict:
        return await self._clients[IPv6Address(session)].submit(action)

    async def _settle(self, session: str, usage: Usage) -> None:
        await self._clients[IPv6Address(session)].settle(usage)


class Inspector:
    """The way to the proxy for one session's door."""

    def __init__(self, requests: Requests, client: IPv6Address) -> None:
        self._requests, self._client = requests, client

    async def connect(self, destination: IPv4Address, host: str, port: int) -> ByteStream:
        """A stream on which the machine's own bytes are expected."""
        return await self._requests.connect(self._client, destination, host, port)


async def _vetted(host: str, client: Client) -> Address:
    return (await addresses_of(host, client.resolve, meant=client.means(host)))[0]


def _credential(rule: str, client: Client) -> str | None:
    """The name of the credential of the grant that ``rule`` is, if it is one and has one."""
    match = _GRANT.fullmatch(rule)
    grants: Sequence[NetworkGrant | ModelGrant] = ()
    if match:
        grants = client.network if match[1] == "network" else client.models
    index = int(match[2]) if match else 0
    return grants[index].credential if index < len(grants) else None
