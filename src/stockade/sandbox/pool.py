"""Machines that wait, started ahead for one profile; each is handed to one session and no other.

async with Pool(profile, ready=4) as pool:
    async with pool.claim() as box:
        await box.exec(["true"])
"""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Self

import anyio

from stockade.model.errors import MachineError, StockadeError, UsageError
from stockade.model.profile import MAX_READY, Profile
from stockade.sandbox import registry
from stockade.sandbox.converse import first_cause
from stockade.sandbox.foundation import Foundation
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup

    from stockade.sandbox.machine import Machine


class Pool:
    """``ready`` machines wait (by default the profile's ``pool``), and more after much demand.

    After ``idle`` seconds in which nobody has come, none wait until somebody does.

    A claim that finds none waiting starts one. Granted files are copied when a machine is claimed,
    so that nobody gets files of an earlier hour.
    """

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        ready: int | None = None,
        idle: float = 600.0,
        progress: Progress | None = None,
    ) -> None:
        self.profile = profile or Profile()
        ready = self.profile.pool.ready if ready is None else ready
        if not 0 <= ready <= MAX_READY:
            raise UsageError(f"a pool holds from 0 to {MAX_READY} machines ready, not {ready}")
        self._ready, self._idle = ready, idle
        self._progress = progress or Silent()
        self._stack = AsyncExitStack()
        self._foundation: Foundation | None = None
        self._tasks: TaskGroup | None = None
        self._waiting: deque[Machine] = deque()
        self._wanted = anyio.Event()
        self._changed = anyio.Event()
        self._target = ready
        self._failure: StockadeError | None = None

    async def __aenter__(self) -> Self:
        """Prepare what machines are made of, and begin to start some."""
        async with AsyncExitStack() as stack:
            owned = stack.enter_context(ExitStack())
            self._foundation = await Foundation.prepare(
                self.profile, owned, files=False, progress=self._progress
            )
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.push_async_callback(self._drain)
            stack.callback(self._tasks.cancel_scope.cancel)
            self._tasks.start_soon(self._keep, self._foundation, self._tasks)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Destroy what waits. Sessions must have ended."""
        try:
            await self._stack.aclose()
        except BaseExceptionGroup as group:
            raise first_cause(group) from None

    @property
    def waiting(self) -> int:
        """Machines that wait now."""
        return len(self._waiting)

    async def full(self) -> None:
        """Wait until as many machines wait as should; raise what keeps them from starting."""
        while len(self._waiting) < self._target:
            if self._failure:
                raise self._failure
            await self._changed.wait()

    def claim(self, *, command: Sequence[str] = ()) -> Sandbox:
        """A session of its own in a machine that has waited, if one does when it is entered."""
        return Sandbox(self.profile, progress=self._progress, command=command, source=self._take)

    async def _take(self) -> tuple[Foundation, Machine | None]:
        if self._foundation is None:
            raise MachineError("the pool is closed", hint="Use it inside `async with`.")
        machine = None
        while self._waiting and machine is None:
            machine = self._waiting.popleft()
            if machine.ended:
                await machine.close()
                machine = None
        if machine is None:
            # Nobody waited: next time as many may come at once.
            self._target = min(self._target + 1, max(self._ready * 2, self._ready))
        self._wanted.set()
        return self._foundation, machine

    async def _keep(self, foundation: Foundation, tasks: TaskGroup) -> None:
        """Start machines until enough wait; end them all when nobody has come for long."""
        while True:
            self._wanted = anyio.Event()
            try:
                while len(self._waiting) < self._target:
                    machine = await foundation.launch(registry.new_id(), tasks)
                    self._waiting.append(machine)
                    self._failure = None
                    self._note()
            except StockadeError as error:
                self._failure = error  # claims meet it themselves, and say so
                self._note()
            with anyio.move_on_after(self._idle):
                await self._wanted.wait()
                continue
            self._target = self._ready
            await self._drain()
            await self._wanted.wait()

    async def _drain(self) -> None:
        with anyio.CancelScope(shield=True):
            while self._waiting:
                await self._waiting.popleft().close()
        self._note()

    def _note(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
