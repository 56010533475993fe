"""A request goes out as it was decided on, byte for byte. test_app.py has all that can go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.egress.rig import PLAIN_KEY, delivery, errand, read_head, scripted

from stockade.egress.courier.carrier import Carrier
from stockade.egress.courier.problems import Undeliverable
from stockade.egress.courier.upstream import Upstreams

if TYPE_CHECKING:
    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


async def test_target_and_fields_are_not_rewritten() -> None:
    heads: list[bytes] = []

    async def handler(stream: SocketStream) -> None:
        heads.append(await read_head(stream))
        await stream.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    upstreams = Upstreams()
    async with scripted(handler) as port:
        carrier = Carrier(upstreams)
        async with carrier.carry(
            errand(port), "POST", b"/a%2f..%2F/;x//?q=%7E~&&", [(b"x-a", b"\xff b")], b"hello"
        ) as answer:
            assert answer.status == 204
        await upstreams.aclose()
    assert heads == [
        b"POST /a%2f..%2F/;x//?q=%7E~&& HTTP/1.1\r\n"
        + f"host: api.test:{port}\r\n".encode()
        + b"x-a: \xff b\r\ncontent-length: 5\r\naccept-encoding: identity\r\n\r\nhello"
    ]


async def test_what_fails_leaves_no_trail_to_what_was_sent() -> None:
    async with scripted(_refusing) as port:
        upstreams = Upstreams()
        with pytest.raises(Undeliverable) as refused:
            async with Carrier(upstreams).carry(
                errand(port, delivery=delivery()), "GET", b"/", [], b""
            ):
                pass
        await upstreams.aclose()
    assert refused.value.__context__ is None
    assert PLAIN_KEY not in repr(refused.value)


async def _refusing(stream: SocketStream) -> None:
    await read_head(stream)
    await stream.send(b"nonsense\r\n\r\n")
