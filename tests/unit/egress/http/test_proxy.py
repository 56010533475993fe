"""The way in for doors; what happens behind it is in tests/functional/test_envoy.py."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from stockade.egress.http.authority import Authority
from stockade.egress.http.check import HttpAnswer, HttpCheck, Refusal
from stockade.egress.http.proxy import HttpProxy

pytestmark = pytest.mark.anyio

SESSION, DESTINATION = IPv6Address("fd00::1"), IPv4Address("198.18.0.1")


async def _judge(check: HttpCheck) -> HttpAnswer:
    return Refusal("network[0]", f"not {check.path}")


async def test_nothing_runs_before_the_first_connection_or_after_the_end(tmp_path: Path) -> None:
    authority = Authority.load(tmp_path / "state")
    proxy = HttpProxy(_judge, authority=authority, folder=tmp_path)
    async with proxy:
        assert proxy.pid is None
        assert not list(tmp_path.glob("egress-*"))  # noqa: ASYNC240 - a test
        async with await proxy.connect(SESSION, DESTINATION, 80, "a.test") as stream:
            pid = proxy.pid
            await stream.send(b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n")
            answer = await stream.receive()
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert b"not /x" in answer
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()  # noqa: ASYNC240 - a test
    assert not list(tmp_path.glob("egress-*"))  # noqa: ASYNC240 - a test


async def test_a_connection_needs_a_name(tmp_path: Path) -> None:
    proxy = HttpProxy(_judge, authority=Authority.load(tmp_path / "state"), folder=tmp_path)
    async with proxy:
        with pytest.raises(ValueError, match="no name"):
            await proxy.connect(SESSION, DESTINATION, 80, "")
        assert proxy.pid is None
