"""Kernel modules: which ones a machine loads to boot, and in which order.

Dependencies come from the modules themselves (the ``depends=`` entry of their ``.modinfo``), so no
depmod is needed on the host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stockade.model.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

# Disk, console and file systems of a QEMU microvm; all else is built into Debian's cloud kernel.
BOOT_MODULES = (
    "virtio", "virtio_ring", "virtio_mmio", "virtio_blk", "virtio_console", "libcrc32c", "erofs",
    "overlay",
)  # fmt: skip
# libcrc32c asks the kernel's crypto layer for "crc32c", of which this is the fast one.
OPTIONAL_MODULES = ("crc32c_intel",)

_DEPENDS = re.compile(rb"\0depends=([\w,-]*)\0")


def load_order(directory: Path) -> list[Path]:
    """Return the boot modules under ``directory`` with all they need, each after its own needs."""
    files = {_normal(path.stem): path for path in sorted(directory.rglob("*.ko"))}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in order:
            return
        if name not in files:
            raise ImageError(f"the kernel package has no module {name}")
        for needed in dependencies(files[name].read_bytes()):
            add(needed)
        order[name] = files[name]

    for name in OPTIONAL_MODULES:
        if name in files:
            add(name)
    for name in BOOT_MODULES:
        add(name)
    return list(order.values())


def dependencies(module: bytes) -> list[str]:
    """Return the names of the modules that this one needs directly."""
    match = _DEPENDS.search(module)
    names = match[1].decode().split(",") if match else []
    return [_normal(name) for name in names if name]


def _normal(name: str) -> str:
    # File names use either, the kernel takes them for the same.
    return name.replace("-", "_")
