"""What the agent is told about the session: name, user, limits and granted files."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from stockade.sandbox.calls import call, printable
from stockade.sandbox.grants import GID, UID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.model.limits import Limits
    from stockade.sandbox.channel import Channel
    from stockade.sandbox.grants import GrantDisk


async def configure(
    channel: Channel, machine: str, limits: Limits, grants: Sequence[GrantDisk]
) -> str:
    """Make the machine this session's; return the release of its kernel, the machine's word."""
    answer = await call(
        channel,
        op="configure",
        hostname=f"stockade-{machine}",
        machine_id=secrets.token_hex(16),
        uid=UID,
        gid=GID,
        memory=limits.memory,
        scratch=limits.scratch,
        processes=limits.processes,
        grants=[grant.message for grant in grants],
    )
    return printable(answer.get("kernel", ""), 100)
