from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import MissingToolError
from stockade.sandbox.images.initramfs import INIT, write_initramfs


@pytest.fixture
def modules(tmp_path: Path) -> list[Path]:
    """Give modules whose order is not that of their names."""
    folder = tmp_path / "some" / "modules"
    folder.mkdir(parents=True)
    paths = [folder / f"{name}.ko" for name in ("virtio", "erofs", "overlay")]
    for path in paths:
        path.write_bytes(path.name.encode())
        path.chmod(0o600)
    return paths


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    path = tmp_path / "busybox"
    path.write_bytes(b"\x7fELF and so on")
    return path


@pytest.fixture
def write(tmp_path: Path, modules: list[Path], busybox: Path) -> Callable[..., Path]:
    numbers: Iterator[int] = iter(range(100))

    def write_one(init: Path | None = INIT) -> Path:
        scratch = tmp_path / f"scratch{next(numbers)}"
        scratch.mkdir()
        target = scratch / "initramfs.cpio"

        async def work() -> None:
            await write_initramfs(target, scratch, busybox=busybox, modules=modules, init=init)

        anyio.run(work)
        return target

    return write_one


def _listing(archive: Path) -> dict[str, list[str]]:
    """Read the archive as ls would show it: the fields before each name."""
    with archive.open("rb") as file:
        done = subprocess.run(
            ["cpio", "--list", "--verbose", "--numeric-uid-gid", "--quiet"],
            stdin=file,
            capture_output=True,
            check=True,
            text=True,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
        )
    lines = (line.split() for line in done.stdout.splitlines())
    return {line[-1]: line[:-1] for line in lines}


def _read(archive: Path, name: str) -> bytes:
    with archive.open("rb") as file:
        done = subprocess.run(
            ["cpio", "--extract", "--to-stdout", "--quiet", name],
            stdin=file,
            capture_output=True,
            check=True,
        )
    return done.stdout


def test_it_holds_what_boots_a_machine(write: Callable[..., Path]) -> None:
    found = {name: fields[0] for name, fields in _listing(write()).items()}
    assert found == {
        **dict.fromkeys(
            [".", "bin", "dev", "mnt", "modules", "proc", "run", "sys", "tmp"], "drwxr-xr-x"
        ),
        "bin/busybox": "-rwxr-xr-x",
        "init": "-rwxr-xr-x",
        **dict.fromkeys(
            [f"modules/{name}" for name in ("erofs.ko", "order", "overlay.ko", "virtio.ko")],
            "-rw-r--r--",
        ),
    }


def test_modules_are_listed_in_the_order_they_load(write: Callable[..., Path]) -> None:
    archive = write()
    assert _read(archive, "modules/order") == b"virtio.ko\nerofs.ko\noverlay.ko\n"
    assert _read(archive, "modules/erofs.ko") == b"erofs.ko"
    assert _read(archive, "init") == INIT.read_bytes()


def test_everything_belongs_to_root_and_has_no_time(write: Callable[..., Path]) -> None:
    for fields in _listing(write()).values():
        assert fields[2:4] == ["0", "0"]
        assert fields[-1] == "1970"


def test_the_same_parts_give_the_same_bytes(write: Callable[..., Path]) -> None:
    assert write().read_bytes() == write().read_bytes()


def test_it_is_what_a_kernel_reads(write: Callable[..., Path]) -> None:
    # The "new ASCII" format, not compressed.
    assert write().read_bytes().startswith(b"070701")


def test_a_machine_without_an_init_of_ours_can_be_written(write: Callable[..., Path]) -> None:
    assert "init" not in _listing(write(init=None))


@pytest.mark.parametrize("name", ["a  b", "new\nline", "-rf"])
def test_the_folder_it_works_in_may_have_any_name(
    tmp_path: Path, modules: list[Path], busybox: Path, name: str
) -> None:
    scratch = tmp_path / name
    scratch.mkdir()

    async def work() -> None:
        await write_initramfs(scratch / "out", scratch, busybox=busybox, modules=modules, init=INIT)

    anyio.run(work)
    assert "init" in _listing(scratch / "out")


@pytest.mark.usefixtures("without_programs")
def test_without_its_programs_it_says_how_to_install_them(write: Callable[..., Path]) -> None:
    with pytest.raises(MissingToolError):
        write()


def test_a_full_disk_is_told(on_a_small_disk: Callable[..., str], tmp_path: Path) -> None:
    code = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.initramfs import write_initramfs
small, roomy = map(Path, sys.argv[1:])
(roomy / "busybox").write_bytes(bytes(1 << 21))
async def work():
    await write_initramfs(small / "out", roomy, busybox=roomy / "busybox", modules=[], init=None)
try:
    anyio.run(work)
except ImageError as error:
    print(error)
"""
    (tmp_path / "roomy").mkdir()
    said = on_a_small_disk(code, tmp_path / "roomy")
    assert said == "cannot write the initramfs: no space left on the disk\n"
