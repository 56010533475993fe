"""What a template depends on, as one fingerprint: equal keys, interchangeable templates."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import stockade
from stockade.sandbox import assembly, jail, machine
from stockade.sandbox.backends import base, qemu_microvm

if TYPE_CHECKING:
    from stockade.sandbox.assembly import Shape
    from stockade.sandbox.backends.base import Backend
    from stockade.sandbox.images.runtime import Runtime
    from stockade.sandbox.images.store import Image

# How machines are put together and warmed; a change of any makes templates anew.
_MAKERS = (assembly, base, jail, machine, qemu_microvm)


def template_key(backend: Backend, image: Image, runtime: Runtime, shape: Shape) -> str:
    """The fingerprint of the template for machines of this make on this host."""
    facts = [
        stockade.__version__,
        [backend.name, backend.accelerator],
        image.manifest.digest,
        [runtime.key, runtime.kernel.parent.name],
        [shape.cpus, shape.memory, shape.slots],
        _hypervisor(),
        _processor(),
        _sources(),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _hypervisor() -> list[str | int]:
    program = qemu_microvm.find_program().resolve()
    found = program.stat()
    return [str(program), found.st_size, found.st_mtime_ns]


@functools.cache
def _processor() -> list[str]:
    """What a saved machine has seen of the processor: features, and the rate of its clock."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    first = cpuinfo.partition("\n\n")[0]
    return re.findall(r"^(?:model name|flags|bogomips)\s*:.*$", first, re.MULTILINE)


@functools.cache
def _sources() -> str:
    files = [Path(module.__file__ or "") for module in _MAKERS]
    files += sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
