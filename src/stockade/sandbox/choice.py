"""Which backend builds a session's wall: the strongest that works here, never below the minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.kvm import kvm_verdict

if TYPE_CHECKING:
    from stockade.model.profile import Wall
    from stockade.sandbox.backends.base import Backend
    from stockade.sandbox.images.progress import Progress
    from stockade.sandbox.images.runtime import Runtime


async def choose_backend(
    _wall: Wall, progress: Progress | None = None, *, runtime: Runtime | None = None
) -> Backend:
    """Return the backend to use. There is one so far, and it satisfies every minimum.

    ``runtime`` spares the time of finding it, if it was found already.
    """
    verdict = await kvm_verdict(progress, runtime=runtime)
    return QemuMicrovm(kvm=verdict.usable)
