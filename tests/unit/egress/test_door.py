from __future__ import annotations

from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv6Address, ip_address

import anyio
import dns.message
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.egress.conftest import Pipe

from stockade.egress import addresses
from stockade.egress.addresses import Address
from stockade.egress.door import Door
from stockade.model.action import Action, Connection, Lookup
from stockade.model.errors import StockadeError
from stockade.model.network import Protocol
from stockade.model.verdict import Effect, Verdict

pytestmark = pytest.mark.anyio

NAMED = "db.example"


def packed(kind: str, address: str, port: int) -> bytes:
    found = ip_address(address)
    if found.version == 4:
        found = IPv6Address(f"::ffff:{found}")
    return kind.encode() + found.packed + port.to_bytes(2, "big")


class Session:
    """A profile that grants one host, the gate that follows it, and a server that is the host."""

    def __init__(self) -> None:
        self.port = 0
        self.granted: dict[str, AbstractSet[Protocol]] = {NAMED: {Protocol.TCP}}
        self.asked: list[Action] = []
        self.accepted = 0

    def protocols(self, host: str, port: int) -> AbstractSet[Protocol]:
        return self.granted.get(host, set()) if port == self.port else set()

    def name(self, host: str) -> bool:
        return host in self.granted

    async def submit(self, action: Action) -> Verdict:
        self.asked.append(action)
        assert isinstance(action, Lookup | Connection)
        granted = action.host in self.granted and getattr(action, "port", self.port) == self.port
        effect = Effect.ALLOW if granted else Effect.DENY
        return Verdict(effect=effect, rule="r", reason="no grant names it")

    async def resolve(self, _host: str) -> list[Address]:
        return [ip_address("127.0.0.1")]

    async def serve(self, client: SocketStream) -> None:
        """Send back what comes, once."""
        self.accepted += 1
        async with client:
            await client.send(await client.receive())


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(addresses, "public", lambda _address: True)  # loopback is all there is
    return Session()


@pytest.fixture
def door(session: Session) -> Door:
    return Door(session, session.submit, resolve=session.resolve)


async def ask(door: Door, name: str, *, over_tcp: bool = False) -> dns.message.Message | None:
    """Ask the machine's resolver for a name's address, as a program in it would."""
    pipe, query = Pipe(), dns.message.make_query(name, "A").to_wire()
    pipe.say(len(query).to_bytes(2, "big") + query if over_tcp else query)
    pipe.finish()
    await door.serve(pipe, packed("connect" if over_tcp else "question", "198.18.0.1", 53))
    answer = bytes(pipe.heard[2:] if over_tcp else pipe.heard)
    return dns.message.from_wire(answer) if answer else None


async def invented(door: Door, name: str) -> str:
    answer = await ask(door, name)
    assert answer
    return str(answer.answer[0][0].to_text())


async def talk(door: Door, session: Session, address: str) -> Pipe:
    """Connect to ``address`` at the server's port, say something, and hear what comes back."""
    pipe = Pipe()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    session.port = session.port or listener.extra_attributes[SocketAttribute.local_port]()
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, session.serve)
        pipe.say(b"hello")
        pipe.finish()
        await door.serve(pipe, packed("connect", address, session.port))
        tasks.cancel_scope.cancel()
    return pipe


async def test_a_granted_host_is_reached_by_its_name(door: Door, session: Session) -> None:
    pipe = await talk(door, session, await invented(door, NAMED))
    assert (bytes(pipe.heard), pipe.ended, pipe.abandoned) == (b"hello", True, "")
    assert session.asked == [Lookup(host=NAMED), Connection(host=NAMED, port=session.port)]
    assert (door.sent, door.received) == (5, 5)


async def test_ssh_is_asked_for_as_such(door: Door, session: Session) -> None:
    session.granted[NAMED] = {Protocol.SSH}
    await talk(door, session, await invented(door, NAMED))
    assert session.asked[-1] == Connection(protocol="ssh", host=NAMED, port=session.port)


@pytest.mark.parametrize("over_tcp", [True, False])
async def test_a_name_that_is_not_granted_does_not_exist(door: Door, over_tcp: bool) -> None:
    answer = await ask(door, "evil.example", over_tcp=over_tcp)
    assert answer
    assert (answer.rcode(), answer.answer) == (3, [])


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "127.0.0.1", "169.254.169.254", "2606:4700::1111", "198.18.9.9"]
)
async def test_an_address_that_no_name_was_given_is_refused(
    door: Door, session: Session, address: str
) -> None:
    pipe = await talk(door, session, address)
    assert pipe.abandoned == "refused: no grant names it"
    assert session.asked == [Connection(host=address, port=session.port)]
    assert session.accepted == 0


async def test_another_port_of_a_granted_host_is_refused(door: Door, session: Session) -> None:
    address, session.port = await invented(door, NAMED), 1
    pipe = Pipe()
    await door.serve(pipe, packed("connect", address, 2))
    assert pipe.abandoned == "refused: no grant names it"
    assert session.asked[-1] == Connection(host=NAMED, port=2)


async def test_a_name_that_leads_into_the_hosts_network_is_refused(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    door = Door(session, session.submit, resolve=session.resolve)
    pipe = await talk(door, session, await invented(door, NAMED))
    assert "127.0.0.1, which is not a public address" in pipe.abandoned
    assert session.accepted == 0


@pytest.mark.parametrize("granted", [True, False])
async def test_an_address_inside_is_reached_only_where_a_grant_has_it(
    session: Session, monkeypatch: pytest.MonkeyPatch, granted: bool
) -> None:
    monkeypatch.undo()

    async def audit(_action: Action) -> Verdict:
        return Verdict(effect=Effect.ALLOW, rule="default", reason="only recorded")

    if granted:
        session.granted["127.0.0.1"] = {Protocol.TCP}
    pipe = await talk(Door(session, audit), session, "127.0.0.1")
    assert session.accepted == granted
    assert ("is not a public address" in pipe.abandoned) is not granted


async def test_a_host_that_does_not_answer_is_told(door: Door, session: Session) -> None:
    address = await invented(door, NAMED)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    session.port = listener.extra_attributes[SocketAttribute.local_port]()
    await listener.aclose()
    pipe = Pipe()
    await door.serve(pipe, packed("connect", address, session.port))
    assert pipe.abandoned.startswith(f"{NAMED} does not answer at port {session.port}")


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.HTTPS])
async def test_requests_are_for_the_inspector_to_decide(
    session: Session, protocol: Protocol
) -> None:
    session.granted[NAMED] = {protocol}
    session.port = 443
    where: list[tuple[str, str, int]] = []

    class Inspector:
        async def connect(self, destination: IPv4Address, host: str, port: int) -> ByteStream:
            where.append((str(destination), host, port))
            raise StockadeError("the proxy is not running")

    door = Door(session, session.submit, inspector=Inspector(), resolve=session.resolve)
    pipe = Pipe()
    address = await invented(door, NAMED)
    await door.serve(pipe, packed("connect", address, 443))
    assert where == [(address, NAMED, 443)]
    assert pipe.abandoned == "the proxy is not running"
    assert session.asked == [Lookup(host=NAMED)]


@given(st.binary(max_size=60))
async def test_any_opening_is_answered_or_refused(opening: bytes) -> None:
    session = Session()
    pipe = Pipe()
    pipe.finish()
    await Door(session, session.submit, resolve=session.resolve).serve(pipe, opening)
    assert pipe.abandoned or pipe.ended


async def test_a_question_without_end_is_not_listened_to(door: Door) -> None:
    pipe = Pipe()
    pipe.say(bytes(1 << 20))
    await door.serve(pipe, packed("question", "198.18.0.1", 53))
    assert pipe.abandoned == "not answered"
