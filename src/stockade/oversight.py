"""The gate and the network door of one session, made while its machine starts.

To load the policy takes about as long as to start a machine, so neither waits for the other. What
is asked of the session's doors meanwhile waits for the gate here.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stockade.model.event import Spending
from stockade.model.network import Protocol
from stockade.sandbox.paths import runtime_dir, state_dir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from stockade.audit.journal import Journal
    from stockade.egress.door import Door
    from stockade.egress.requests import Inspector
    from stockade.egress.streams import GuestStream
    from stockade.gate import Check, Gate
    from stockade.model.action import Action
    from stockade.model.profile import Profile
    from stockade.model.usage import Usage
    from stockade.model.verdict import Verdict
    from stockade.sandbox.trust import Trust


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
        self._journal: Journal | None = None
        self._door: Door | None = None
        self._inspector: Inspector | None = None

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

    @asynccontextmanager
    async def network(self) -> AsyncIterator[Trust | None]:
        """Have requests served, if the profile grants any; say whom the machine is to trust."""
        if self._enforce and not self._asks_for_requests:
            yield None
            return
        from stockade.egress.credentials.keyring import Keyring  # noqa: PLC0415
        from stockade.egress.requests import Client, Requests  # noqa: PLC0415
        from stockade.sandbox.trust import Trust  # noqa: PLC0415

        keyring = Keyring(self._profile.credentials)
        await keyring.check()
        client = Client(
            session=self._session,
            network=self._profile.network,
            models=self._profile.models,
            keyring=keyring,
            submit=self.submit,
            settle=self._settle,
        )
        async with Requests(state_dir(), runtime_dir()) as requests:
            with requests.admit(client) as self._inspector:
                authority = requests.authority
                yield Trust(authority.certificate.decode("ascii"), authority.java_store())

    @property
    def _asks_for_requests(self) -> bool:
        spoken = {grant.protocol for grant in self._profile.network}
        return bool(self._profile.models or spoken & {Protocol.HTTP, Protocol.HTTPS})

    async def _settle(self, usage: Usage) -> None:
        assert self._journal is not None  # noqa: S101 - as the gate has let the call pass
        await self._journal.record(Spending(session=self._session, time=time.time(), usage=usage))

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

            reach = Reach(self._profile, enforce=self._enforce)
            self._door = Door(reach, self.submit, inspector=self._inspector)
        await self._door.serve(stream, opening)

    def _make_gate(self) -> Gate:
        from stockade.audit.journal import Journal  # noqa: PLC0415
        from stockade.gate import Gate  # noqa: PLC0415
        from stockade.policy.engine import compile_profile  # noqa: PLC0415

        policy = compile_profile(self._profile, cedar=self._cedar)
        self._journal = self._owned.enter_context(Journal(journal_of(self._session)))
        return Gate(
            self._session,
            policy,
            self._journal,
            screening=self._screening,
            enforce=self._enforce,
        )
