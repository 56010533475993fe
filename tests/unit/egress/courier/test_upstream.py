"""Connections are kept apart by session and address."""

from __future__ import annotations

import logging
from ipaddress import ip_address

import pytest
from tests.unit.egress.rig import errand

from stockade.egress.courier.upstream import Upstreams

pytestmark = pytest.mark.anyio


async def test_sessions_hosts_and_addresses_have_pools_of_their_own() -> None:
    upstreams = Upstreams()
    first = await upstreams.pool(errand(1))
    assert await upstreams.pool(errand(1)) is first
    others = [
        errand(1, session="another"),
        errand(1, host="other.test"),
        errand(1, scheme="https"),
        errand(2),
        errand(1, addresses=[ip_address("127.0.0.2")]),
    ]
    assert first not in [await upstreams.pool(other) for other in others]
    await upstreams.forget("session-1")
    assert await upstreams.pool(errand(1)) is not first
    await upstreams.aclose()


async def test_there_are_not_ever_more_of_them() -> None:
    upstreams = Upstreams()
    for port in range(1, 400):
        await upstreams.pool(errand(port))
    assert len(upstreams._pools) == 256
    await upstreams.aclose()


def test_the_library_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    Upstreams()
    logger = logging.getLogger("httpcore2.http11")
    caplog.set_level(1, logger.name)
    logger.debug("receive_response_headers.complete")
    assert not caplog.records
