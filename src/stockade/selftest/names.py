"""The resolver of our own internet, and names that do not lead to the same place twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from stockade.selftest.hosts import ADDRESSES, DATABASE, LEADING_INSIDE, PRIVATE, TURNING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIXED = "mixed.example.com"
"""A name that leads to a public address and to a private one, at once."""


class Names:
    """Answers questions from a table; ``TURNING`` leads inside every second time."""

    def __init__(self, addresses: Mapping[str, str], note: Callable[..., None]) -> None:
        self._known = {name: [address] for name, address in addresses.items()}
        self._known |= {name: [address] for name, address in LEADING_INSIDE.items()}
        self._known[MIXED] = [PRIVATE, ADDRESSES[DATABASE]]
        self._note = note
        self._turns = 0

    def answer(self, question: bytes) -> bytes:
        """The answer to one message, or b"" for what is none."""
        try:
            query = dns.message.from_wire(question)
            asked = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return b""
        name = asked.name.to_text(omit_final_dot=True).lower()
        self._note(kind="question", host=name)
        reply = dns.message.make_response(query)
        if name not in self._known:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif asked.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(asked.name, 1, "IN", "A", *self._leads(name)))
        return reply.to_wire()

    def _leads(self, name: str) -> list[str]:
        if name == TURNING:
            self._turns += 1
            if self._turns % 2 == 0:
                return [PRIVATE]
        return self._known[name]


async def answer_names(addresses: Mapping[str, str], note: Callable[..., None]) -> None:
    """Serve ``Names`` on loopback."""
    names = Names(addresses, note)
    async with await anyio.create_udp_socket(local_host="127.0.0.1", local_port=53) as server:
        async for question, (host, port) in server:
            if answer := names.answer(question):
                await server.sendto(answer, host, port)
