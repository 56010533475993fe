from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from stockade.model.errors import RequestError
from stockade.sandbox.trust import Trust, establish

if TYPE_CHECKING:
    from tests.unit.sandbox.conftest import Link

pytestmark = pytest.mark.anyio

TRUST = Trust("-----BEGIN CERTIFICATE-----\n", b"\x30\xff")


async def test_the_agent_is_given_the_authority(link: Link) -> None:
    told: dict[str, object] = {}

    async def play() -> None:
        call, request = await link.peer.request()
        told.update(request)
        await link.peer.answer(call, {"event": "done"})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        await establish(link.channel, TRUST)
    assert told == {"op": "trust", "authority": TRUST.authority, "java": "30ff"}


async def test_what_the_agent_cannot_do_is_an_error(link: Link) -> None:
    async def play() -> None:
        call, _ = await link.peer.request()
        await link.peer.answer(call, {"event": "failed", "kind": "system", "message": "full"})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play)
        with pytest.raises(RequestError, match="full"):
            await establish(link.channel, TRUST)
