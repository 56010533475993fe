"""A machine for one session: started, used, and gone without a trace.

async with Sandbox(profile) as box:
    result = await box.exec(["python3", "-V"])
"""

from __future__ import annotations

import os
import time
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio import to_thread

from stockade.model.errors import MachineError, StockadeError
from stockade.model.profile import Profile
from stockade.sandbox import checkpoints, control, registry
from stockade.sandbox.calls import call
from stockade.sandbox.converse import collect, first_cause
from stockade.sandbox.files import Files
from stockade.sandbox.foundation import Foundation
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.process import Process, Terminal
from stockade.sandbox.ram import changed_pages
from stockade.sandbox.stopwatch import Stopwatch
from stockade.sandbox.trust import ENVIRONMENT, establish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from anyio.abc import TaskGroup

    from stockade.model.outcome import ExecResult
    from stockade.sandbox.backends.base import Backend
    from stockade.sandbox.channel import Channel, Stream
    from stockade.sandbox.checkpoint import Checkpoint
    from stockade.sandbox.machine import Machine
    from stockade.sandbox.trust import Trust

_WORKSPACE = "/workspace"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/home/agent",
    "USER": "agent",
    "LANG": "C.UTF-8",
}


class Sandbox:
    """One machine. Use it as an async context manager; leaving it destroys the machine.

    ``command`` is only what ``stockade ps`` shows. A machine is a copy of a booted template, or
    with ``origin`` it goes on from a checkpoint; with ``cold`` it boots itself. ``network`` serves,
    and closes, each stream that the machine opens; it must not raise. Programs in the machine
    trust ``trust`` besides whom its image does. After the start,
    ``timings`` holds seconds: ``prepare`` (images, files and template), ``launch`` (the
    hypervisor's process), ``boot`` (until the agent's first word) and ``configure`` (the session's
    own files and limits).
    """

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        id: str | None = None,  # noqa: A002 - it is what it is called
        progress: Progress | None = None,
        command: Sequence[str] = (),
        backend: Backend | None = None,
        cold: bool = False,
        origin: Callable[[], Awaitable[Checkpoint]] | None = None,
        source: Callable[[], Awaitable[tuple[Foundation, Machine | None]]] | None = None,
        network: Callable[[Stream, bytes], Coroutine[Any, Any, None]] | None = None,
        trust: Trust | None = None,
        parent: Sandbox | None = None,
    ) -> None:
        self.profile = profile or Profile()
        self.id = id or registry.new_id()
        self.timings: dict[str, float] = {}
        self.kernel = ""
        self._progress = progress or Silent()
        self._command = list(command)
        self._backend = backend
        self._stack = AsyncExitStack()
        self._environment: dict[str, str] = {}
        self._workdir = "/"
        self._cold = cold
        self._origin, self._source, self._parent = origin, source, parent
        self._network, self._trust = network, trust
        self._lock = anyio.Lock()  # one change of the machine at a time
        self._tasks: TaskGroup | None = None
        self._foundation: Foundation | None = None
        self._machine: Machine | None = None
        self._stopwatch = Stopwatch()
        self._door: anyio.CancelScope | None = None  # by which others ask for something
        self.files = Files(self._new_process)

    async def __aenter__(self) -> Self:
        """Start the machine, building the image first if need be."""
        try:
            async with AsyncExitStack() as stack:
                await self._start(stack)
                self._stack = stack.pop_all()
        except BaseExceptionGroup as group:
            raise first_cause(group) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        """Destroy the machine."""
        await self._stack.aclose()

    async def close(self) -> None:
        """Destroy the machine now; leaving the context does it too."""
        await self._stack.aclose()

    @property
    def backend(self) -> str:
        """The name of the wall's backend."""
        return self._backend.name if self._backend else ""

    async def exec(
        self,
        argv: Sequence[str | bytes],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> ExecResult:
        """Run a program to its end and return all it wrote, bounded by the output limit."""
        return await collect(await self.start(argv, env=env, cwd=cwd), stdin)

    async def start(
        self,
        argv: Sequence[str | bytes],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        terminal: Terminal | None = None,
    ) -> Process:
        """Start a program and return at once; its streams are the caller's to serve.

        ``argv`` and the environment may hold any bytes, as ``os.fsdecode`` gives them. Without
        ``cwd`` the program starts in /workspace if that is granted, else in the image's own folder.
        """
        request = {
            "op": "exec",
            "argv": [os.fsdecode(word) for word in argv],
            "env": {**self._environment, **self.profile.env, **(env or {})},
            "cwd": cwd or self._workdir,
        }
        process = self._new_process(terminal)
        try:
            await process.start(request)
        except BaseException:
            process.stop(None)
            raise
        return process

    async def stats(self) -> dict[str, Any]:
        """What the commands in the machine use now: bytes and seconds, the machine's word."""
        answer = await call(self._open_channel(), op="stats")
        return {key: value for key, value in answer.items() if key != "event"}

    async def ping(self) -> None:
        """Return when the agent has answered."""
        await call(self._open_channel(), op="ping")

    @property
    def paused(self) -> bool:
        """Whether the machine stands still."""
        return self._stopwatch.paused

    async def pause(self) -> None:
        """Stop the machine: it uses no processor time, and commands' time stands still."""
        async with self._lock:
            if not self.paused:
                machine = self._running()
                # Cancelled in between, its time would go on while it does not.
                with anyio.CancelScope(shield=True):
                    await machine.stop()
                    self._stopwatch.pause()
                registry.mark_paused(self.id, paused=True)

    async def resume(self) -> None:
        """Let a paused machine go on; fine when it runs."""
        async with self._lock:
            if self.paused:
                machine = self._running()
                with anyio.CancelScope(shield=True):
                    await machine.go_on()
                    self._stopwatch.go_on()
                registry.mark_paused(self.id, paused=False)

    async def checkpoint(self) -> Checkpoint:
        """Note what the machine is like at this moment; it is stopped for some milliseconds.

        The checkpoint is the caller's to close.
        """
        async with self._lock:
            machine, foundation = self._running(), self._based()
            with anyio.CancelScope(shield=True):
                if not self.paused:
                    await machine.stop()
                try:
                    state = await machine.save_devices()
                    pages = await to_thread.run_sync(
                        changed_pages, machine.pid, foundation.shape.memory
                    )
                finally:
                    if not self.paused:
                        await machine.go_on()
            return foundation.checkpoint(self.id, state, pages)

    async def rollback(self, checkpoint: Checkpoint) -> None:
        """Put the machine back to where it was; what has happened since is gone.

        Commands that run end with ``MachineError``. Those that ran at the checkpoint go on, with
        their streams closed.
        """
        async with self._lock:
            foundation, tasks = self._based(), self._tasks
            if checkpoint.origin.template != (foundation.template and foundation.template.key):
                raise StockadeError("the checkpoint is of a machine of another make")
            assert tasks is not None  # noqa: S101 - as there is a machine
            await self._running().close()
            self._machine = await foundation.launch(self.id, tasks, origin=_given(checkpoint))
            if self.paused:
                self._stopwatch.go_on()
                await to_thread.run_sync(checkpoints.forget_paused, self.id)
            self._connect(self._machine, tasks)
            self._register(foundation, self._machine, tasks)

    def fork(self, *, command: Sequence[str] = ()) -> Sandbox:
        """A copy of the machine as it is when the copy is entered; neither sees the other."""
        return type(self)(
            self.profile,
            progress=self._progress,
            command=command or self._command,
            backend=self._backend,
            parent=self,
        )

    def _new_process(self, terminal: Terminal | None = None) -> Process:
        return Process(
            self._open_channel(), self.profile.limits, terminal, stopwatch=self._stopwatch
        )

    def _open_channel(self) -> Channel:
        machine = self._running()
        if self.paused:
            raise MachineError("the machine is paused", hint="Resume it first.")
        return machine.channel

    def _running(self) -> Machine:
        if self._machine is None:
            raise MachineError("the machine is not running", hint="Use it inside `async with`.")
        return self._machine

    def _based(self) -> Foundation:
        if self._foundation is None:
            raise MachineError("the machine is not running", hint="Use it inside `async with`.")
        return self._foundation

    async def _start(self, stack: AsyncExitStack) -> None:
        begun = time.perf_counter()
        owned = stack.enter_context(ExitStack())
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.push_async_callback(self._end)
        stack.callback(tasks.cancel_scope.cancel)
        self._tasks, self._stopwatch = tasks, Stopwatch()
        if self._source:
            foundation = await self._claim(self._source, owned, tasks)
            self.timings = {"claim": time.perf_counter() - begun}
        else:
            foundation = await (self._copy if self._parent else self._launch)(owned, tasks)
        machine = self._running()
        self._backend, self._foundation = foundation.backend, foundation
        if not self._source:
            preparing = time.perf_counter() - begun - sum(machine.timings.values())
            self.timings = {"prepare": preparing, **machine.timings}
        self._connect(machine, tasks)
        self._register(foundation, machine, tasks)
        self.kernel = machine.kernel
        self._environment = {**_ENVIRONMENT, **foundation.image.manifest.env}
        if self._trust:
            self._environment |= ENVIRONMENT
            await establish(machine.channel, self._trust)
        granted = any(grant.guest == _WORKSPACE for grant in self.profile.files)
        self._workdir = _WORKSPACE if granted else foundation.image.manifest.workdir

    def _connect(self, machine: Machine, tasks: TaskGroup) -> None:
        """Have what the machine opens towards the network served."""
        if network := self._network:
            machine.channel.visitor = lambda stream, opening: tasks.start_soon(
                network, stream, opening
            )

    async def _launch(self, owned: ExitStack, tasks: TaskGroup) -> Foundation:
        checkpoint = await self._origin() if self._origin else None
        try:
            foundation = await Foundation.prepare(
                self.profile,
                owned,
                backend=self._backend,
                cold=self._cold,
                origin=checkpoint,
                progress=self._progress,
            )
            self._machine = await foundation.launch(
                self.id, tasks, origin=_given(checkpoint) if checkpoint else None
            )
        finally:
            if checkpoint:
                checkpoint.close()
        return foundation

    async def _copy(self, owned: ExitStack, tasks: TaskGroup) -> Foundation:
        parent = self._parent
        assert parent is not None  # noqa: S101 - as it is called
        foundation = parent._based().again(owned)  # noqa: SLF001 - one of us
        with ExitStack() as taken:

            async def origin() -> Checkpoint:
                checkpoint = await parent.checkpoint()
                taken.callback(checkpoint.close)
                return checkpoint

            self._machine = await foundation.launch(self.id, tasks, origin=origin)
        return foundation

    async def _claim(
        self,
        source: Callable[[], Awaitable[tuple[Foundation, Machine | None]]],
        owned: ExitStack,
        tasks: TaskGroup,
    ) -> Foundation:
        foundation, self._machine = await source()
        if self._machine is None:
            self._machine = await foundation.launch(self.id, tasks)
        self.id = self._machine.id
        return await foundation.grant(self._machine, owned)

    async def _attend(self, door: anyio.CancelScope) -> None:
        """Let other processes of this user ask for something until the door is shut."""
        with door:
            await control.serve(self.id, partial(control.perform, self))

    async def _end(self) -> None:
        if self._machine:
            await self._machine.close()

    def _register(self, foundation: Foundation, machine: Machine, tasks: TaskGroup) -> None:
        machine.register(
            backend=foundation.backend.name,
            image=self.profile.image,
            profile=self.profile.name,
            command=self._command,
        )
        # The folder with the door in it goes with each machine.
        if self._door:
            self._door.cancel()
        self._door = anyio.CancelScope()
        tasks.start_soon(self._attend, self._door)


def _given(checkpoint: Checkpoint) -> Callable[[], Awaitable[Checkpoint]]:
    async def give() -> Checkpoint:
        return checkpoint

    return give
