"""What a machine is put together from: its shape, and the hardware that follows from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from stockade.model.profile import MAX_FILES
from stockade.sandbox.backends.base import Disk, Hardware, Ram

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from stockade.sandbox.images.runtime import Runtime
    from stockade.sandbox.images.store import Image
    from stockade.sandbox.templates.store import Template

_MIB, _GIB = 1 << 20, 1 << 30
RESERVE = 128 * _MIB
"""RAM in bytes for the guest's kernel and the agent, on top of what a session may use."""

SPARE = "files-"
"""How the serials of disks begin that are for granted files."""

_SLOTS = (1, 4, MAX_FILES)  # an idle machine pays for each, and each number is a template


@dataclass(frozen=True)
class Shape:
    """What all machines copied from one template have in common. ``memory`` is RAM in bytes."""

    cpus: int
    memory: int
    slots: int

    @classmethod
    def holding(cls, *, cpus: int, memory: int, grants: int) -> Self:
        """The smallest of few shapes that is large enough: each one costs a template."""
        step = 128 * _MIB if memory <= 2 * _GIB else 512 * _MIB if memory <= 8 * _GIB else _GIB
        slots = next(slots for slots in _SLOTS if slots >= grants)
        return cls(cpus, -(-memory // step) * step, slots)


def assemble(
    machine: str,
    image: Image,
    runtime: Runtime,
    shape: Shape,
    *,
    template: Template | None = None,
    ram: Path | None = None,
    state: int | None = None,
    grants: Sequence[Disk] = (),
    owned: ExitStack,
) -> Hardware:
    """Open what the machine needs; the descriptors are closed by ``owned``.

    It goes on from ``template``, or from the moment whose ``state`` is given and whose pages are
    yet to come; without a template it boots, with its RAM in the file ``ram`` if that is given.
    """

    def open_file(path: Path) -> int:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        owned.callback(os.close, fd)
        return fd

    runtime_fd = open_file(runtime.disk)
    # Something has to be in a spare disk, and nobody ever looks at it.
    spare = [Disk(f"{SPARE}{number}", runtime_fd) for number in range(len(grants), shape.slots)]
    backing = (
        Ram(template.ram, shared=False) if template else Ram(ram, shared=True) if ram else None
    )
    return Hardware(
        machine=machine,
        cpus=shape.cpus,
        memory=shape.memory,
        kernel=runtime.kernel,
        initramfs=runtime.initramfs,
        disks=(
            Disk("runtime", runtime_fd),
            Disk("image", open_file(image.path)),
            *grants,
            *spare,
        ),
        ram=backing,
        state=open_file(template.state) if template and state is None else state,
        deferred=state is not None,
    )
