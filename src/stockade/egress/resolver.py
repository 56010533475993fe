"""Answers a machine's questions for names. None of them is ever passed on.

A name that is granted has an invented address (see ``names``); any other does not exist, with the
reason as an extended error (RFC 8914). What is asked for is therefore no way to tell anybody
anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from stockade.egress.names import LIFETIME, Names
from stockade.model.action import Lookup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stockade.model.action import Action
    from stockade.model.verdict import Verdict

QUESTION = 4096
"""Bytes of a question, at most."""

_UDP = 1232  # bytes of an answer, as every network carries them (DNS flag day 2020)


class Resolver:
    """The resolver of one session."""

    def __init__(self, names: Names, submit: Callable[[Action], Awaitable[Verdict]]) -> None:
        self._names, self._submit = names, submit

    async def answer(self, question: bytes) -> bytes:
        """The answer to one message, or b"" for what is no question."""
        try:
            query = dns.message.from_wire(question, ignore_trailing=False)
        except (dns.exception.DNSException, ValueError):
            return b""
        if query.flags & dns.flags.QR:
            return b""
        reply = dns.message.make_response(query, recursion_available=True)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            reply.set_rcode(dns.rcode.NOTIMP)
            return reply.to_wire()
        await self._fill(reply, query)
        return reply.to_wire(max_size=_UDP)

    async def _fill(self, reply: dns.message.Message, query: dns.message.Message) -> None:
        asked = query.question[0]
        if asked.rdclass != dns.rdataclass.IN:
            reply.set_rcode(dns.rcode.REFUSED)
            return
        host = asked.name.to_text(omit_final_dot=True)
        verdict = await self._submit(Lookup(host=host))
        if not verdict.allowed:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            if query.edns >= 0:
                reason = dns.edns.EDEOption(dns.edns.EDECode.BLOCKED, verdict.reason[:200])
                reply.use_edns(0, payload=_UDP, options=[reason])
        elif asked.rdtype == dns.rdatatype.A:
            # The name as one would write it: names differ by more than the case of their letters.
            address = self._names.address(host.lower())
            reply.answer.append(dns.rrset.from_text(asked.name, LIFETIME, "IN", "A", str(address)))
        # Of any other kind there is nothing: a service is found by its name and port alone.
