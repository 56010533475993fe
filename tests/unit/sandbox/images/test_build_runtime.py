from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.sandbox.images.build_runtime import build_runtime
from stockade.sandbox.images.runtime import agent_sources


@pytest.fixture(scope="module")
def built(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what is built of this host's kit, which takes seconds."""
    scratch = tmp_path_factory.mktemp("runtime")
    # Files of the kit are linked, so it has to be on the same disk.
    subprocess.run(["cp", "--recursive", "--no-dereference", kit, scratch / "kit"], check=True)
    anyio.run(build_runtime, scratch, scratch / "kit", agent_sources())
    return scratch / "runtime"


def test_the_disk_holds_the_agent_and_its_interpreter(
    built: Path, inode: Callable[[Path, str], str]
) -> None:
    for path in (
        "/usr/bin/python3.11",
        "/opt/stockade/stockade/__init__.py",
        "/opt/stockade/stockade/guest/main.py",
        "/opt/stockade/stockade/guest/__pycache__/main.cpython-311.pyc",
        "/opt/stockade/stockade/wire/__pycache__/frames.cpython-311.pyc",
    ):
        assert "Uid: 0   Gid: 0" in inode(built / "agent.erofs", path)
    for path in ("/opt/stockade/stockade/sandbox", "/opt/stockade/stockade/guest/initramfs"):
        assert not inode(built / "agent.erofs", path)


def test_the_agents_code_has_no_time_and_no_rights_of_its_own(
    built: Path, inode: Callable[[Path, str], str]
) -> None:
    said = inode(built / "agent.erofs", "/opt/stockade/stockade/guest/main.py")
    assert "Access: 0644" in said
    assert "1970-01-01" in said


def test_the_initramfs_holds_the_modules_and_the_init(built: Path) -> None:
    with (built / "initramfs.cpio").open("rb") as file:
        listing = subprocess.run(
            ["cpio", "--list", "--quiet"], stdin=file, capture_output=True, check=True, text=True
        )
    names = listing.stdout.split()
    assert {"init", "bin/busybox", "modules/order", "modules/erofs.ko"} <= set(names)
