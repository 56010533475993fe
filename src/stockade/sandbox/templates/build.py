"""Make a template: boot a machine, let it do what sessions do, and save it in a quiet moment.

What runs once is translated, read from disk and mapped for every copy, so the machine runs what
most sessions begin with. Nothing of any session has been near it.
"""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stockade.model.errors import MachineError
from stockade.model.limits import Limits
from stockade.sandbox import checkpoints, registry
from stockade.sandbox.admission import ADMISSION
from stockade.sandbox.assembly import SPARE, assemble
from stockade.sandbox.calls import call
from stockade.sandbox.configuration import configure
from stockade.sandbox.converse import collect, first_cause
from stockade.sandbox.files import Files
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.machine import Machine
from stockade.sandbox.paths import cache_dir
from stockade.sandbox.process import Process, Terminal
from stockade.sandbox.templates.key import template_key
from stockade.sandbox.templates.store import (
    RAM,
    STATE,
    DamagedError,
    Facts,
    Template,
    TemplateStore,
    write_facts,
)

if TYPE_CHECKING:
    from stockade.sandbox.assembly import Shape
    from stockade.sandbox.backends.base import Backend
    from stockade.sandbox.images.progress import Progress
    from stockade.sandbox.images.runtime import Runtime
    from stockade.sandbox.images.store import Image

_ROUNDS = 3
_WARM_UP = (
    ["true"],
    ["sh", "-c", "ls / >/dev/null; cat /etc/passwd | head -n 1"],
    ["python3", "-c", "import json, os, re, subprocess, sys, typing"],
)
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
_NEED = 512 << 20  # bytes of memory that a machine takes at most until it has booted
_QUIET = 0.1  # seconds in which a machine at rest uses next to no processor time
_REST = 0.02  # the share of a processor that counts as next to none
_PATIENCE = 5.0  # seconds to wait for that; an image's own programs cannot keep it awake for ever


async def get_template(
    backend: Backend,
    image: Image,
    runtime: Runtime,
    shape: Shape,
    *,
    owned: ExitStack,
    progress: Progress,
) -> Template:
    """Return the template for machines of this shape; make it if it is not there, or damaged.

    It is held, as ``Template`` says, by ``owned``.
    """
    key = template_key(backend, image, runtime, shape)
    store = TemplateStore(Cache(cache_dir()))
    # A damaged one is not touched here: another process may be putting it right.
    with contextlib.suppress(DamagedError):
        if template := store.find(key, owned):
            return template
    async with store.cache.lock(
        f"template-{key}",
        waiting=lambda: progress.stage("waiting for another process's template", None),
    ):
        try:
            if template := store.find(key, owned):
                return template
        except DamagedError as error:
            progress.warn(f"a template is damaged and made anew: {error}")
            await to_thread.run_sync(store.discard, key)
        progress.stage("booting a template", None)
        async with store.cache.scratch() as scratch:
            made = scratch / "template"
            made.mkdir(mode=0o700)
            await _make(
                made,
                backend=backend,
                image=image,
                runtime=runtime,
                shape=shape,
                progress=progress,
            )
            await _prove(made, backend, image, runtime, shape)
            spare = {one.template for one in await to_thread.run_sync(checkpoints.saved)}
            template = await to_thread.run_sync(store.publish, made, key, spare)
            return template.hold(owned)


async def _make(
    folder: Path,
    *,
    backend: Backend,
    image: Image,
    runtime: Runtime,
    shape: Shape,
    progress: Progress,
) -> None:
    with (folder / RAM).open("wb") as file:
        file.truncate(shape.memory)
        # The jail's user is nobody who owns files; the folder keeps everybody else out.
        os.fchmod(file.fileno(), 0o666)
    with ExitStack() as owned:
        hardware = assemble(registry.new_id(), image, runtime, shape, ram=folder / RAM, owned=owned)
        try:
            async with anyio.create_task_group() as tasks:
                async with ADMISSION.machine(_NEED):
                    machine = await Machine.start(backend, hardware, tasks)
                try:
                    progress.stage("warming the template", None)
                    await _warm(machine)
                    await _settle(machine.pid)
                    await machine.stop()
                    (folder / STATE).write_bytes(await machine.save_devices())
                finally:
                    await machine.close()
        except BaseExceptionGroup as group:
            raise first_cause(group) from None
    facts = Facts(
        image=image.manifest.name,
        digest=image.manifest.digest,
        cpus=shape.cpus,
        memory=shape.memory,
        slots=shape.slots,
        created=time.time(),
    )
    progress.stage("saving the template", None)
    await to_thread.run_sync(write_facts, folder, facts)


async def _warm(machine: Machine) -> None:
    """Do what sessions do, and leave no trace of it but in caches."""
    limits = Limits()
    await configure(machine.channel, "template", limits, [])
    files = Files(lambda: Process(machine.channel, limits))
    for _ in range(_ROUNDS):
        for argv in _WARM_UP:
            await _run(machine, limits, argv, None)
        await _run(machine, limits, ["true"], Terminal(24, 80))
        await files.write("/tmp/warm", b"x")  # noqa: S108 - in the guest
        await files.list("/tmp")  # noqa: S108
        await files.remove("/tmp/warm")  # noqa: S108
        await call(machine.channel, op="stats")
    await call(machine.channel, op="rest", disks=SPARE)
    for _ in range(_ROUNDS):  # to have pages of its own that it has shared with its last child
        await machine.ping()


async def _run(
    machine: Machine, limits: Limits, argv: list[str], terminal: Terminal | None
) -> None:
    """Run a command that the image may not have."""
    process = Process(machine.channel, limits, terminal)
    await process.start({"op": "exec", "argv": argv, "env": _ENVIRONMENT, "cwd": "/"})
    await collect(process, b"")


async def _settle(pid: int) -> None:
    """Wait until the machine has come to rest."""
    with anyio.move_on_after(_PATIENCE):
        before = _used(pid)
        while True:
            await anyio.sleep(_QUIET)
            now = _used(pid)
            if now - before <= _QUIET * _REST:
                return
            before = now


def _used(pid: int) -> float:
    """Seconds of processor time that a process has used, to the nanosecond (proc(5), schedstat)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError, IndexError):
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


async def _prove(
    folder: Path, backend: Backend, image: Image, runtime: Runtime, shape: Shape
) -> None:
    """Copy the template once before anybody relies on it."""
    facts = Facts(image.manifest.name, "", shape.cpus, shape.memory, shape.slots, 0.0)
    with ExitStack() as owned:
        hardware = assemble(
            registry.new_id(),
            image,
            runtime,
            shape,
            template=Template(folder, facts),
            owned=owned,
        )
        try:
            async with anyio.create_task_group() as tasks:
                machine = await Machine.start(backend, hardware, tasks)
                try:
                    await machine.ping()
                finally:
                    await machine.close()
        except BaseExceptionGroup as group:
            cause = first_cause(group)
            if isinstance(cause, MachineError):
                raise MachineError(f"a template cannot be copied: {cause}") from None
            raise cause from None
