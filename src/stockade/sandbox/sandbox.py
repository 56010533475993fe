"""A machine for one session: started, used, and gone without a trace.

async with Sandbox(profile) as box:
    result = await box.exec(["python3", "-V"])
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Self

import anyio

from stockade.model.errors import MachineError, MachineKilledError, RequestError
from stockade.model.profile import Profile
from stockade.sandbox import housekeeping, registry
from stockade.sandbox.backends.base import Backend, Disk, Hardware, RunningMachine
from stockade.sandbox.calls import call
from stockade.sandbox.channel import Channel
from stockade.sandbox.choice import choose_backend
from stockade.sandbox.converse import collect, first_cause
from stockade.sandbox.files import Files
from stockade.sandbox.grants import GID, UID, GrantDisk, pack_grants
from stockade.sandbox.images.prepare import prepare, prepare_runtime
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.process import Process, Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stockade.model.outcome import ExecResult
    from stockade.sandbox.images.runtime import Runtime
    from stockade.sandbox.images.store import Image

_MIB = 1 << 20
_RESERVE = 128 * _MIB  # RAM for the guest's kernel and the agent
_BOOT = 120.0  # seconds; a cold boot takes 3 to 10 under emulation
_LAST_WORDS = 2.0  # seconds for a machine that has closed its channel to end and say why
_SEED = 64  # bytes of randomness for the guest's pool
_HOSTNAME = "stockade"
_WORKSPACE = "/workspace"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/home/agent",
    "USER": "agent",
    "LANG": "C.UTF-8",
}


class Sandbox:
    """One machine. Use it as an async context manager; leaving it destroys the machine.

    ``command`` is only what ``stockade ps`` shows. After the start, ``timings`` holds seconds:
    ``prepare`` (images and files), ``launch`` (the hypervisor's process), ``boot`` (kernel, until
    the agent's first word) and ``configure`` (the session's own tree and limits).
    """

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        progress: Progress | None = None,
        command: Sequence[str] = (),
        backend: Backend | None = None,
    ) -> None:
        self.profile = profile or Profile()
        self.id = registry.new_id()
        self.timings: dict[str, float] = {}
        self.kernel = ""
        self._progress = progress or Silent()
        self._command = list(command)
        self._backend = backend
        self._stack = AsyncExitStack()
        self._environment: dict[str, str] = {}
        self._workdir = "/"
        self._machine: RunningMachine | None = None
        self._channel: Channel | None = None
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

    def _new_process(self, terminal: Terminal | None = None) -> Process:
        return Process(self._open_channel(), self.profile.limits, terminal)

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise MachineError("the machine is not running", hint="Use it inside `async with`.")
        return self._channel

    async def _start(self, stack: AsyncExitStack) -> None:
        begun = time.perf_counter()
        self._backend = self._backend or await choose_backend(self.profile.wall, self._progress)
        image = await prepare(self.profile.image, self._progress)
        runtime = await prepare_runtime(self._progress)
        with ExitStack() as descriptors:
            grants = await pack_grants(self.profile.files, descriptors)
            hardware = self._hardware(image, runtime, grants, descriptors)
            begun = self._lap("prepare", begun)
            housekeeping.watch(registry.folder_of(self.id))
            stack.callback(housekeeping.forget, registry.folder_of(self.id))
            stack.callback(registry.forget, self.id)
            self._machine = await self._backend.start(hardware)
            stack.push_async_callback(self._machine.close)
        begun = self._lap("launch", begun)
        self._channel = Channel(self._machine.channel)
        stack.callback(self._channel.fail, MachineError("the machine is closed"))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(self._serve, self._machine, self._channel)
        with anyio.move_on_after(_BOOT) as patience:
            await self._channel.ready()
        if patience.cancelled_caught:
            raise MachineError(f"the machine did not start within {_BOOT:g} s")
        begun = self._lap("boot", begun)
        self._register(self._machine.pid)
        await self._configure(image, grants)
        self._lap("configure", begun)

    def _hardware(
        self, image: Image, runtime: Runtime, grants: list[GrantDisk], descriptors: ExitStack
    ) -> Hardware:
        limits = self.profile.limits

        def disk(serial: str, path: os.PathLike[str]) -> Disk:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            descriptors.callback(os.close, fd)
            return Disk(serial, fd)

        disks = (disk("runtime", runtime.disk), disk("image", image.path))
        return Hardware(
            machine=self.id,
            cpus=limits.cpus,
            # Scratch files live in RAM too; what is never written costs the host nothing.
            memory=_round_up(limits.memory + limits.scratch + _RESERVE),
            kernel=runtime.kernel,
            initramfs=runtime.initramfs,
            disks=(*disks, *(grant.disk for grant in grants)),
        )

    async def _configure(self, image: Image, grants: list[GrantDisk]) -> None:
        limits = self.profile.limits
        try:
            answer = await call(
                self._open_channel(),
                op="configure",
                seed=secrets.token_hex(_SEED),
                time=time.time(),
                hostname=_HOSTNAME,
                uid=UID,
                gid=GID,
                memory=limits.memory,
                scratch=limits.scratch,
                processes=limits.processes,
                grants=[grant.message for grant in grants],
            )
        except RequestError as error:
            raise MachineError(f"the machine could not be set up: {error}") from None
        self.kernel = str(answer.get("kernel", ""))[:100]
        self._environment = {**_ENVIRONMENT, **image.manifest.env}
        granted = any(grant.guest == _WORKSPACE for grant in self.profile.files)
        self._workdir = _WORKSPACE if granted else image.manifest.workdir

    async def _serve(self, machine: RunningMachine, channel: Channel) -> None:
        """Run the channel; at its end tell whoever waits on the machine why, if that is known."""
        words = ""
        ended = anyio.Event()

        async def listen() -> None:
            nonlocal words
            words = await machine.wait()
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await channel.run()
            with anyio.move_on_after(_LAST_WORDS):
                await ended.wait()
            tasks.cancel_scope.cancel()
        if registry.was_killed(self.id):
            channel.fail(MachineKilledError("the machine was ended by stockade kill"))
        else:
            said = f": {words}" if words else ""
            channel.fail(MachineError(f"the machine has ended{said}"))

    def _register(self, pid: int) -> None:
        registry.write(
            registry.Record(
                id=self.id,
                pid=pid,
                ticks=registry.start_ticks(pid),
                owner=os.getpid(),
                backend=self.backend,
                image=self.profile.image,
                profile=self.profile.name,
                command=self._command,
                started=time.time(),
            )
        )

    def _lap(self, name: str, since: float) -> float:
        now = time.perf_counter()
        self.timings[name] = now - since
        return now


def _round_up(size: int) -> int:
    return -(-size // _MIB) * _MIB
