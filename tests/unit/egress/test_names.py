from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address

from hypothesis import given
from hypothesis import strategies as st

from stockade.egress.names import NAMES, Names

RANGE = IPv4Network("198.18.0.0/15")


def test_a_name_keeps_its_address_and_is_found_by_it() -> None:
    names = Names()
    first, second = names.address("a.example"), names.address("b.example")
    assert first != second
    assert names.address("a.example") == first
    assert (names.name(first), names.name(second)) == ("a.example", "b.example")


def test_no_other_address_means_a_name() -> None:
    names = Names()
    names.address("a.example")
    for text in ("198.18.0.1", "8.8.8.8", "::ffff:198.18.1.0", "::1"):
        assert names.name(ip_address(text)) is None


def test_the_name_used_longest_ago_goes_first() -> None:
    names = Names()
    kept, dropped = names.address("kept"), names.address("dropped")
    names.name(kept)
    for number in range(NAMES - 1):
        names.address(f"n{number}")
    assert (names.name(kept), names.name(dropped)) == ("kept", None)


@given(st.lists(st.text(min_size=1, max_size=5), max_size=200))
def test_addresses_are_of_the_range_and_of_one_name_each(asked: list[str]) -> None:
    names = Names()
    given_out: dict[IPv4Address, str] = {}
    for name in asked:
        address = names.address(name)
        assert address in RANGE
        assert given_out.setdefault(address, name) == name


def test_addresses_are_not_used_again_until_all_had_their_turn() -> None:
    names = Names()
    seen = {names.address(f"n{number}") for number in range(3 * NAMES)}
    assert len(seen) == 3 * NAMES


def test_the_range_never_runs_out() -> None:
    names = Names()
    for number in range(RANGE.num_addresses + NAMES):
        address = names.address(f"n{number}")
    assert address in RANGE
    assert names.name(address) == f"n{number}"
