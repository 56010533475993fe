"""Which backend builds a session's wall: the strongest that works here, never below the minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.kvm import kvm_verdict

if TYPE_CHECKING:
    from stockade.model.profile import Wall
    from stockade.sandbox.backends.base import Backend
    from stockade.sandbox.images.progress import Progress


async def choose_backend(_wall: Wall, progress: Progress | None = None) -> Backend:
    """Return the backend to use. There is one so far, and it satisfies every minimum."""
    verdict = await kvm_verdict(progress)
    return QemuMicrovm(kvm=verdict.usable)
