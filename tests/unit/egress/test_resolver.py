from __future__ import annotations

import contextlib

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.names import Names
from stockade.egress.resolver import Resolver
from stockade.model.action import Action, Lookup
from stockade.model.verdict import Effect, Verdict

pytestmark = pytest.mark.anyio


class Gate:
    """Grants one name, and keeps what it was asked."""

    def __init__(self, granted: str = "a.example") -> None:
        self.granted, self.asked = granted, list[str]()

    async def submit(self, action: Action) -> Verdict:
        assert isinstance(action, Lookup)
        self.asked.append(action.host)
        allowed = action.host.lower() == self.granted
        effect = Effect.ALLOW if allowed else Effect.DENY
        return Verdict(effect=effect, rule="r", reason="no grant names it")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def resolver(gate: Gate, names: Names) -> Resolver:
    return Resolver(names, gate.submit)


async def ask(resolver: Resolver, query: dns.message.Message) -> dns.message.Message:
    answer = dns.message.from_wire(await resolver.answer(query.to_wire()))
    assert answer.id == query.id
    return answer


async def test_a_granted_name_has_an_invented_address(resolver: Resolver, names: Names) -> None:
    answer = await ask(resolver, dns.message.make_query("a.example", "A"))
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.answer[0][0].to_text() == str(names.address("a.example"))


async def test_the_case_of_letters_is_kept_and_means_nothing(
    resolver: Resolver, names: Names
) -> None:
    answer = await ask(resolver, dns.message.make_query("A.eXample", "A"))
    assert answer.question[0].name.to_text() == "A.eXample."
    assert answer.answer[0][0].to_text() == str(names.address("a.example"))


@pytest.mark.parametrize("kind", ["AAAA", "TXT", "MX", "HTTPS", "SRV", "ANY", "NULL", "CNAME"])
async def test_of_other_kinds_there_is_nothing(resolver: Resolver, kind: str) -> None:
    answer = await ask(resolver, dns.message.make_query("a.example", kind))
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


async def test_any_other_name_does_not_exist(resolver: Resolver, gate: Gate) -> None:
    query = dns.message.make_query("data.evil.example", "TXT", use_edns=0)
    answer = await ask(resolver, query)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    (option,) = answer.options
    assert isinstance(option, dns.edns.EDEOption)
    assert (option.code, option.text) == (dns.edns.EDECode.BLOCKED, "no grant names it")
    assert gate.asked == ["data.evil.example"]


async def test_without_extensions_there_is_no_reason(resolver: Resolver) -> None:
    answer = await ask(resolver, dns.message.make_query("evil.example", "A"))
    assert (answer.rcode(), answer.edns) == (dns.rcode.NXDOMAIN, -1)


async def test_another_class_is_refused(resolver: Resolver, gate: Gate) -> None:
    answer = await ask(resolver, dns.message.make_query("version.bind", "TXT", "CH"))
    assert (answer.rcode(), gate.asked) == (dns.rcode.REFUSED, [])


@pytest.mark.parametrize("opcode", [dns.opcode.NOTIFY, dns.opcode.STATUS])
async def test_other_operations_are_not_known(
    resolver: Resolver, gate: Gate, opcode: dns.opcode.Opcode
) -> None:
    query = dns.message.make_query("a.example", "A")
    query.set_opcode(opcode)
    assert (await ask(resolver, query)).rcode() == dns.rcode.NOTIMP
    assert gate.asked == []


async def test_an_answer_is_not_answered(resolver: Resolver) -> None:
    query = dns.message.make_query("a.example", "A")
    query.flags |= dns.flags.QR
    assert await resolver.answer(query.to_wire()) == b""


@given(st.binary(max_size=200))
async def test_any_bytes_are_answered_or_dropped(question: bytes) -> None:
    answer = await Resolver(Names(), Gate().submit).answer(question)
    if answer:
        dns.message.from_wire(answer)


@given(st.data())
async def test_damaged_questions_are_answered_or_dropped(data: st.DataObject) -> None:
    whole = bytearray(dns.message.make_query("a.example", "A", use_edns=0).to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    answer = await Resolver(Names(), Gate().submit).answer(bytes(whole))
    with contextlib.suppress(dns.exception.DNSException):
        assert not answer or dns.message.from_wire(answer).id == int.from_bytes(whole[:2], "big")
