"""The gate and the network door of one session, made while its machine starts.

To load the policy takes about as long as to start a machine, so neither waits for the other. What
is asked of the session's doors meanwhile waits for the gate here.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stockade.sandbox.paths import state_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from stockade.egress.door import Door
    from stockade.egress.streams import GuestStream
    from stockade.gate import Check, Gate
    from stockade.model.action import Action
    from stockade.model.profile import Profile
    from stockade.model.verdict import Verdict


def journal_of(session: str) -> Path:
    """Where the journal of a session is kept."""
    return state_dir() / "journals" / f"{session}.jsonl"


class Oversight:
    """Decides on and records what one session does. A context manager; ``open`` must run in it.

    ``cedar`` are the Cedar files beside the profile (name to text). With ``enforce`` off, what
    would be denied goes ahead and is recorded as such.
    """

    def __init__(
        self,
        session: str,
        profile: Profile,
        *,
        cedar: Mapping[str, str] | None = None,
        enforce: bool = True,
        screening: Sequence[Check] = (),
    ) -> None:
        self._session, self._profile = session, profile
        self._cedar, self._enforce, self._screening = cedar, enforce, screening
        self._owned = ExitStack()
        self._opened = anyio.Event()
        self._gate: Gate | None = None
        self._door: Door | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._owned.close()

    async def open(self) -> None:
        """Read the policy and begin the journal; ``StockadeError`` if one of them cannot be."""
        self._gate = await to_thread.run_sync(self._make_gate)
        self._opened.set()

    async def submit(self, action: Action) -> Verdict:
        """Put ``action`` to the gate, once there is one."""
        await self._opened.wait()
        assert self._gate is not None  # noqa: S101 - as it is opened
        return await self._gate.submit(action)

    async def serve(self, stream: GuestStream, opening: bytes) -> None:
        """Serve what the session's machine opens towards the network."""
        if self._door is None:
            # Only now: most machines never ask for anything.
            from stockade.egress.door import Door  # noqa: PLC0415
            from stockade.policy.reach import Reach  # noqa: PLC0415

            self._door = Door(Reach(self._profile), self.submit)
        await self._door.serve(stream, opening)

    def _make_gate(self) -> Gate:
        from stockade.audit.journal import Journal  # noqa: PLC0415
        from stockade.gate import Gate  # noqa: PLC0415
        from stockade.policy.engine import compile_profile  # noqa: PLC0415

        policy = compile_profile(self._profile, cedar=self._cedar)
        journal = self._owned.enter_context(Journal(journal_of(self._session)))
        return Gate(
            self._session, policy, journal, screening=self._screening, enforce=self._enforce
        )
