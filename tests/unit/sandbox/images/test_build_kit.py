from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.build_kit import build_kit
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.kit import facts, get_kit
from stockade.sandbox.images.locks import Lock
from stockade.sandbox.images.progress import Progress, Silent

LOCK = Lock({"bash": "5.1", "python3-minimal": "3.11.2"}, epoch=1_700_000_000)


def _get(cache: Cache) -> Path:
    return anyio.run(get_kit, cache, Silent(), LOCK)


def test_it_takes_the_kernel_the_modules_in_order_and_the_interpreter(
    packages: Path, kit: Path, tmp_path: Path, progress: Progress, warnings: list[str]
) -> None:
    assert packages.is_dir()
    (tmp_path / "scratch").mkdir()
    anyio.run(build_kit, tmp_path / "scratch", LOCK, progress)
    made = tmp_path / "scratch" / "kit"
    for name in ("vmlinuz", "busybox", "modules/order", "tree/usr/bin/python3.11"):
        assert (made / name).read_bytes() == (kit / name).read_bytes()
    about = facts(made)
    assert about is not None
    assert about.packages["bash"] == "5.2"
    assert len(warnings) == 1


def _no_kernel(packages: Path) -> None:
    (packages / "boot" / "vmlinuz-6.1").rename(packages / "boot" / "System.map")


def _two_kernels(packages: Path) -> None:
    (packages / "boot" / "vmlinuz-6.2").touch()


def _no_boot_module(packages: Path) -> None:
    (packages / "lib" / "modules" / "6.1" / "kernel" / "erofs.ko").unlink()


def _no_busybox(packages: Path) -> None:
    (packages / "bin" / "busybox").unlink()


def _odd_archive(packages: Path) -> None:
    (packages / "var" / "cache" / "apt" / "archives" / "no version.deb").touch()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_kernel, "cannot build from Debian packages"),
        (_two_kernels, "expected one kernel in the packages, found 2"),
        (_no_boot_module, "the kernel package has no module erofs"),
        (_no_busybox, "cannot build from Debian packages"),
        (_odd_archive, "unpacked packages, line 3: no package=version"),
    ],
)
def test_packages_that_make_no_kit_leave_nothing(
    cache: Cache, packages: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(packages)
    with pytest.raises(ImageError, match=message):
        _get(cache)
    assert not (cache.root / "kits").exists()
    assert [*(cache.root / "tmp").iterdir()] == []
