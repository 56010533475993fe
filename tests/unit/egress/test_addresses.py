from __future__ import annotations

import math
import socket
from ipaddress import ip_address

import anyio
import pytest

from stockade.egress import addresses
from stockade.egress.addresses import Address, UnreachableError, addresses_of, look_up, public

pytestmark = pytest.mark.anyio

REFUSED = [
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.1.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fec0::1",
    "100::1",
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_public(text: str) -> None:
    assert not public(ip_address(text))


@pytest.mark.parametrize("text", ALLOWED)
def test_what_is_public(text: str) -> None:
    assert public(ip_address(text))


def leading_to(*texts: str) -> addresses.Resolve:
    async def resolve(_host: str) -> list[Address]:
        return [ip_address(text) for text in texts]

    return resolve


@pytest.mark.parametrize("text", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "::1"])
async def test_an_address_that_was_granted_itself_is_what_it_is(text: str) -> None:
    assert await addresses_of(text, leading_to(), meant=True) == [ip_address(text)]


@pytest.mark.parametrize("text", REFUSED)
async def test_an_address_that_nobody_meant_has_to_be_public(text: str) -> None:
    with pytest.raises(UnreachableError, match="not a public address"):
        await addresses_of(text, leading_to())
    assert await addresses_of("8.8.8.8", leading_to()) == [ip_address("8.8.8.8")]


async def test_of_a_names_addresses_only_public_ones_are_used() -> None:
    found = await addresses_of("a.example", leading_to("10.0.0.1", "8.8.8.8", "::1", "8.8.8.8"))
    assert found == [ip_address("8.8.8.8")]


@pytest.mark.parametrize("text", REFUSED)
async def test_a_name_that_leads_elsewhere_is_unreachable(text: str) -> None:
    with pytest.raises(UnreachableError, match="not a public address"):
        await addresses_of("a.example", leading_to(text))


async def test_a_name_without_an_address() -> None:
    with pytest.raises(UnreachableError, match="has no address"):
        await addresses_of("a.example", leading_to())


async def test_a_name_that_cannot_be_resolved() -> None:
    async def resolve(_host: str) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(UnreachableError, match=r"cannot be resolved: Name or service not known"):
        await addresses_of("a.example", resolve)


async def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "PATIENCE", 0.0)

    async def resolve(_host: str) -> list[Address]:
        await anyio.sleep(math.inf)
        return []

    with pytest.raises(UnreachableError, match="not resolved within"):
        await addresses_of("a.example", resolve)


async def test_the_hosts_own_resolver_is_asked() -> None:
    assert ip_address("127.0.0.1") in await look_up("localhost")
