"""One machine, from its hypervisor's start to the last trace of it.

It knows nothing of profiles or sessions: a sandbox configures it, a pool keeps it for one, a
template is made from it.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stockade.model.errors import MachineError, MachineKilledError
from stockade.sandbox import housekeeping, registry
from stockade.sandbox.calls import call
from stockade.sandbox.channel import Channel
from stockade.sandbox.monitor import Monitor
from stockade.sandbox.ram import put_pages
from stockade.sandbox.snapshot import load_devices, save_devices
from stockade.wire.adoption import NONCE_SIZE, SEED_SIZE, Adoption

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from stockade.sandbox.backends.base import Backend, Hardware, RunningMachine
    from stockade.sandbox.ram import Pages

_BOOT = 120.0  # seconds; a cold boot takes 3 to 10 under emulation, a copy a tenth of a second
_FD_SET = 1000  # above the numbers of the disks that the machine starts with
_LAST_WORDS = 2.0  # seconds for a machine that has closed its channel to end and say why


class Machine:
    """A machine with a channel to its agent. ``tasks`` serve it, and must live as long as it.

    ``timings`` holds seconds: ``launch`` (the hypervisor's process) and ``boot`` (until the agent
    has answered its adoption).
    """

    def __init__(self, machine: str, process: RunningMachine, tasks: TaskGroup) -> None:
        self.id = machine
        self.timings: dict[str, float] = {}
        self.kernel = ""
        self.monitor = Monitor(process.links.monitor)
        self._process = process
        self._scope = anyio.CancelScope()
        self._served = anyio.Event()
        nonce = secrets.token_bytes(NONCE_SIZE)
        self.channel = Channel(process.links.channel, after=nonce)
        self._adoption = Adoption(nonce, secrets.token_bytes(SEED_SIZE), time.time())
        tasks.start_soon(self._serve)

    @classmethod
    async def start(
        cls,
        backend: Backend,
        hardware: Hardware,
        tasks: TaskGroup,
        *,
        pages: Callable[[], Awaitable[Pages]] | None = None,
    ) -> Machine:
        """Start a machine, adopt it and wait for its agent's first word.

        What ``pages`` gives replaces some of its template's before it goes on; it is ``deferred``
        then. They and the state may be made meanwhile: the hypervisor takes a while to start.
        """
        begun = time.perf_counter()
        housekeeping.watch(registry.folder_of(hardware.machine))
        try:
            process = await backend.start(hardware)
        except BaseException:
            housekeeping.forget(registry.folder_of(hardware.machine))
            raise
        machine = cls(hardware.machine, process, tasks)
        try:
            machine.timings["launch"] = time.perf_counter() - begun
            begun = time.perf_counter()
            if pages and hardware.state is not None:
                changed = await pages()
                # Its answer means that the hypervisor has set the machine up.
                await machine.monitor.command("query-status")
                await to_thread.run_sync(put_pages, changed, machine.pid, hardware.memory)
                await load_devices(machine.monitor, hardware.state)
            await machine.adopt()
            machine.timings["boot"] = time.perf_counter() - begun
        except BaseException:
            await machine.close()
            raise
        return machine

    @property
    def pid(self) -> int:
        """The process id of the hypervisor on the host."""
        return self._process.pid

    async def adopt(self) -> None:
        """Tell the agent whose the machine is, and wait until it has taken note."""
        # The port may not be open yet; so little waits in the socket until it is.
        self._process.links.control.sendall(self._adoption.pack())
        with anyio.move_on_after(_BOOT) as patience:
            await self.channel.ready()
        if patience.cancelled_caught:
            raise MachineError(f"the machine did not start within {_BOOT:g} s")

    async def stop(self) -> None:
        """Stop the machine's processors; time stands still in it."""
        await self.monitor.command("stop")

    async def go_on(self) -> None:
        """Let a stopped machine go on."""
        await self.monitor.command("cont")

    async def save_devices(self) -> bytes:
        """Return the state of devices and processors; the machine is stopped."""
        return await save_devices(self.monitor, self._process.links)

    async def fill(self, disk: int, file: int) -> None:
        """Put another file into the machine's ``disk``-th disk, which its kernel has released."""
        number, node = _FD_SET + disk, f"filled{disk}"
        await self.monitor.command("add-fd", fds=[file], fdset_id=number)
        await self.monitor.command(
            "blockdev-add",
            node_name=node,
            read_only=True,
            driver="file",
            filename=f"/dev/fdset/{number}",
            locking="off",
        )
        raw = {"driver": "raw", "node-name": f"disk{disk}", "read-only": True, "file": node}
        await self.monitor.command("blockdev-reopen", options=[raw])

    @property
    def ended(self) -> bool:
        """Whether the machine has ended by itself."""
        return self._served.is_set()

    async def ping(self) -> None:
        """Return when the agent has answered."""
        await call(self.channel, op="ping")

    async def close(self) -> None:
        """End the machine now and leave no trace of it. May be called twice."""
        self.channel.fail(MachineError("the machine is closed"))
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._served.wait()
            await self._process.close()
        registry.forget(self.id)
        housekeeping.forget(registry.folder_of(self.id))

    def register(self, *, backend: str, image: str, profile: str, command: list[str]) -> None:
        """Make the machine known to ``stockade ps``."""
        registry.write(
            registry.Record(
                id=self.id,
                pid=self.pid,
                ticks=registry.start_ticks(self.pid),
                owner=os.getpid(),
                backend=backend,
                image=image,
                profile=profile,
                command=command,
                started=time.time(),
            )
        )

    async def _serve(self) -> None:
        """Run the channel; at its end tell whoever waits on the machine why, if that is known."""
        words = ""
        ended = anyio.Event()

        async def listen() -> None:
            nonlocal words
            words = await self._process.wait()
            ended.set()

        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(listen)
                    await self.channel.run()
                    with anyio.move_on_after(_LAST_WORDS):
                        await ended.wait()
                    tasks.cancel_scope.cancel()
            if registry.was_killed(self.id):
                self.channel.fail(MachineKilledError("the machine was ended by stockade kill"))
            else:
                said = f": {words}" if words else ""
                self.channel.fail(MachineError(f"the machine has ended{said}"))
        finally:
            self._served.set()
