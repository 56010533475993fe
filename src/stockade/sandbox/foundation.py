"""What the machines of one session are made of, prepared once: image, template, granted files."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from stockade.model.errors import MachineError, RequestError, StockadeError
from stockade.sandbox.admission import ADMISSION
from stockade.sandbox.assembly import RESERVE, Shape, assemble
from stockade.sandbox.backends.base import Disk
from stockade.sandbox.checkpoint import Checkpoint, Origin
from stockade.sandbox.choice import choose_backend
from stockade.sandbox.configuration import configure
from stockade.sandbox.grants import GrantDisk, pack_grants
from stockade.sandbox.images.prepare import prepare, prepare_runtime
from stockade.sandbox.machine import Machine
from stockade.sandbox.templates.build import get_template

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.abc import TaskGroup

    from stockade.model.profile import Profile
    from stockade.sandbox.backends.base import Backend
    from stockade.sandbox.images.progress import Progress
    from stockade.sandbox.images.runtime import Runtime
    from stockade.sandbox.images.store import Image
    from stockade.sandbox.ram import Pages
    from stockade.sandbox.templates.store import Template

_FIRST_SPARE = 3  # the number of the first disk that is for files; see ``assemble``


@dataclass(frozen=True)
class Foundation:
    """All about a machine but the machine. Without a template, machines boot themselves."""

    profile: Profile
    backend: Backend
    image: Image
    runtime: Runtime
    shape: Shape
    template: Template | None
    grants: tuple[GrantDisk, ...]

    @classmethod
    async def prepare(
        cls,
        profile: Profile,
        owned: ExitStack,
        *,
        backend: Backend | None = None,
        cold: bool = False,
        origin: Checkpoint | None = None,
        files: bool = True,
        progress: Progress,
    ) -> Self:
        """Find or build it all. Files are granted as they are now, or as they were at ``origin``.

        Their descriptors and the template's are closed by ``owned``. Without ``files`` those are
        left for ``grant``.
        """
        image = await prepare(profile.image, progress)
        runtime = await prepare_runtime(progress)
        backend = backend or await choose_backend(profile.wall, progress, runtime=runtime)
        limits = profile.limits
        # Scratch files live in RAM too; what is never written costs the host nothing.
        memory = limits.memory + limits.scratch + RESERVE
        shape = Shape.holding(cpus=limits.cpus, memory=memory, grants=len(profile.files))
        template = None
        if not cold:
            template = await get_template(
                backend, image, runtime, shape, owned=owned, progress=progress
            )
        if origin is None:
            grants = tuple(await pack_grants(profile.files if files else (), owned))
        else:
            _check_origin(origin, template)
            grants = tuple(_again(grant, owned) for grant in origin.grants)
        return cls(profile, backend, image, runtime, shape, template, grants)

    def again(self, owned: ExitStack) -> Self:
        """The same for another machine, with files of its own that ``owned`` closes."""
        self._check_copied()
        return replace(self, grants=tuple(_again(grant, owned) for grant in self.grants))

    async def launch(
        self,
        machine: str,
        tasks: TaskGroup,
        *,
        origin: Callable[[], Awaitable[Checkpoint]] | None = None,
    ) -> Machine:
        """Start and configure a machine.

        It goes on from what ``origin`` gives, which may take its time while the hypervisor starts.
        """
        with ExitStack() as owned:
            state = os.memfd_create("state", os.MFD_CLOEXEC) if origin else None
            if state is not None:
                owned.callback(os.close, state)

            async def pages() -> Pages:
                assert origin is not None  # noqa: S101 - as it is called
                assert state is not None  # noqa: S101 - likewise
                moment = await origin()
                moment.put_state(state)
                return moment.pages

            hardware = assemble(
                machine,
                self.image,
                self.runtime,
                self.shape,
                template=self.template,
                state=state,
                grants=[grant.disk for grant in self.grants],
                owned=owned,
            )
            async with ADMISSION.machine():
                started = await Machine.start(
                    self.backend, hardware, tasks, pages=pages if origin else None
                )
        # At the moment of a checkpoint the files were there already.
        await self._configure(started, () if origin else self.grants)
        return started

    async def grant(self, machine: Machine, owned: ExitStack) -> Self:
        """Give a machine that was launched without them the profile's files, as they are now.

        Returns what the machine is made of from then on; descriptors are closed by ``owned``.
        """
        if not self.profile.files:
            return self
        grants = tuple(await pack_grants(self.profile.files, owned))
        for number, grant in enumerate(grants):
            await machine.fill(_FIRST_SPARE + number, grant.disk.fd)
        await self._configure(machine, grants)
        return replace(self, grants=grants)

    async def _configure(self, machine: Machine, grants: Sequence[GrantDisk]) -> None:
        begun = time.perf_counter()
        try:
            machine.kernel = await configure(
                machine.channel, machine.id, self.profile.limits, grants
            )
        except BaseException as error:
            await machine.close()
            if isinstance(error, RequestError):
                raise MachineError(f"the machine could not be set up: {error}") from None
            raise
        machine.timings["configure"] = time.perf_counter() - begun

    def checkpoint(self, machine: str, state: bytes, pages: Pages) -> Checkpoint:
        """Put together what was saved of a machine with what it was made of."""
        origin = Origin.of(machine, self.profile, self._check_copied())
        grants = tuple(
            GrantDisk(Disk(grant.disk.serial, os.dup(grant.disk.fd)), grant.message)
            for grant in self.grants
        )
        return Checkpoint(origin, state, pages, grants)

    def _check_copied(self) -> Template:
        if self.template is None:
            raise StockadeError("a machine that booted by itself cannot be copied")
        return self.template


def _check_origin(origin: Checkpoint, template: Template | None) -> None:
    """Pages replace those of the very template that they were written to; of no other."""
    found = template and (template.key, template.facts.sums["ram"])
    if found != (origin.origin.template, origin.origin.ram):
        raise StockadeError(
            "the template that this checkpoint rests on is gone or was made anew",
            hint="Start a new session; checkpoints do not outlive their template.",
        )


def _again(grant: GrantDisk, owned: ExitStack) -> GrantDisk:
    fd = os.dup(grant.disk.fd)
    owned.callback(os.close, fd)
    return GrantDisk(Disk(grant.disk.serial, fd), grant.message)
