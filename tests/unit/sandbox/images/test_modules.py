from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.errors import ImageError
from stockade.sandbox.images.modules import (
    BOOT_MODULES,
    OPTIONAL_MODULES,
    dependencies,
    load_order,
)


def _module(*needs: str) -> bytes:
    """Give what a module says about itself, between other things."""
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0retpoline=Y\0"


def _kernel(folder: Path, **modules: bytes) -> Path:
    """Lay out modules as a kernel package does; the boot modules are always there."""
    for name, content in (dict.fromkeys(BOOT_MODULES, _module()) | modules).items():
        path = folder / "kernel" / name[0] / f"{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def _names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        (_module(), []),
        (_module("virtio"), ["virtio"]),
        (_module("virtio", "crc32c-intel"), ["virtio", "crc32c_intel"]),
        (b"", []),
        (b"\0depends=virtio", []),
        (b"softdepends=virtio\0", []),
        (b"\0depends=../../etc/passwd\0", []),
    ],
)
def test_a_module_says_what_it_needs(module: bytes, needed: list[str]) -> None:
    assert dependencies(module) == needed


@given(st.binary())
def test_any_bytes_give_names_of_modules(content: bytes) -> None:
    for name in dependencies(b"\0depends=" + content + b"\0"):
        assert re.fullmatch(r"\w+", name)


def test_every_boot_module_is_loaded_after_what_it_needs(tmp_path: Path) -> None:
    kernel = _kernel(
        tmp_path,
        virtio=_module("virtio_ring"),
        erofs=_module("libcrc32c", "lz4-decompress"),
        lz4_decompress=_module("helper"),
        helper=_module(),
        unneeded=_module(),
    )
    order = _names(load_order(kernel))
    assert set(order) == {*BOOT_MODULES, "lz4_decompress", "helper"}
    assert len(order) == len(set(order))
    for first, then in [
        ("virtio_ring", "virtio"),
        ("helper", "lz4_decompress"),
        ("lz4_decompress", "erofs"),
        ("libcrc32c", "erofs"),
    ]:
        assert order.index(first) < order.index(then)


def test_an_optional_module_comes_first_if_it_is_there(tmp_path: Path) -> None:
    assert not set(_names(load_order(_kernel(tmp_path)))) & set(OPTIONAL_MODULES)
    with_it = _kernel(tmp_path, **{"crc32c-intel": _module()})
    assert load_order(with_it)[0].name == "crc32c-intel.ko"


def test_a_kernel_without_a_boot_module_is_refused(tmp_path: Path) -> None:
    kernel = _kernel(tmp_path)
    (kernel / "kernel" / "e" / "erofs.ko").unlink()
    with pytest.raises(ImageError, match="the kernel package has no module erofs"):
        load_order(kernel)


def test_a_kernel_without_what_a_boot_module_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the kernel package has no module nowhere"):
        load_order(_kernel(tmp_path, overlay=_module("nowhere")))


def test_the_kernel_that_machines_boot_has_them_all(kit: Path) -> None:
    order = [path.name for path in load_order(kit / "modules")]
    assert order == (kit / "modules" / "order").read_text().split()
    assert {name.replace("-", "_") for name in BOOT_MODULES} <= {
        Path(name).stem.replace("-", "_") for name in order
    }
