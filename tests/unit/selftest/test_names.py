from __future__ import annotations

import dns.message
import dns.rcode

from stockade.selftest.names import Names


def _ask(names: Names, name: str) -> dns.message.Message:
    return dns.message.from_wire(names.answer(dns.message.make_query(name, "A").to_wire()))


def test_names_lead_where_the_table_says_and_one_turns() -> None:
    asked: list[object] = []
    names = Names({"turning.example.com": "93.0.0.1"}, lambda **what: asked.append(what["host"]))
    found = [_ask(names, "turning.example.com").answer[0][0].to_text() for _ in range(3)]
    assert found == ["93.0.0.1", "10.0.0.5", "93.0.0.1"]
    assert _ask(names, "other.example").rcode() == dns.rcode.NXDOMAIN
    assert asked == ["turning.example.com"] * 3 + ["other.example"]
    assert names.answer(b"no question") == b""
