from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.images.runtime import Runtime, agent_sources, get_runtime, runtime_key


@pytest.fixture(scope="module")
def shared(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Give a cache that has the kit and one runtime, which takes seconds to make."""
    root = tmp_path_factory.mktemp("runtime") / "cache"
    # Copied, for the user's own cache is not a test's to write, and may be on another disk.
    shutil.copytree(kit, root / "kits" / kit.name, symlinks=True)
    return Cache(root)


@pytest.fixture(scope="module")
def runtime(shared: Cache) -> Runtime:
    return anyio.run(get_runtime, shared, Silent())


@pytest.fixture
def clean(shared: Cache) -> Iterator[None]:
    """Take away what a test added beside the one runtime."""
    before = set((shared.root / "runtimes").iterdir())
    yield
    for path in set((shared.root / "runtimes").iterdir()) - before:
        path.unlink() if path.is_symlink() else shutil.rmtree(path)


def test_it_is_a_kernel_an_initramfs_and_a_disk(runtime: Runtime, shared: Cache) -> None:
    for path in (runtime.kernel, runtime.initramfs, runtime.disk):
        assert path.is_relative_to(shared.root)
        assert path.stat().st_size > 1 << 20
    # "HdrS" at this offset: linux/Documentation/x86/boot.rst.
    assert runtime.kernel.read_bytes()[0x202:0x206] == b"HdrS"
    assert runtime.disk.parent.name == runtime.key


def test_it_is_made_once(
    runtime: Runtime, shared: Cache, progress: Progress, stages: list[tuple[str, float | None]]
) -> None:
    assert anyio.run(get_runtime, shared, progress) == runtime
    assert stages == []


def test_using_it_keeps_it_from_being_removed_as_old(runtime: Runtime, shared: Cache) -> None:
    os.utime(runtime.disk.parent, (0, 0))
    anyio.run(get_runtime, shared, Silent())
    assert runtime.disk.parent.stat().st_mtime > 0


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("missing", ["initramfs.cpio", "agent.erofs", None])
def test_one_that_is_not_whole_is_made_again_with_the_same_bytes(
    runtime: Runtime, shared: Cache, missing: str | None
) -> None:
    before = [path.read_bytes() for path in (runtime.initramfs, runtime.disk)]
    if missing is None:
        shutil.rmtree(runtime.disk.parent)
    else:
        (runtime.disk.parent / missing).unlink()
    assert anyio.run(get_runtime, shared, Silent()) == runtime
    assert [path.read_bytes() for path in (runtime.initramfs, runtime.disk)] == before
    assert [*(shared.root / "tmp").iterdir()] == []


@pytest.mark.usefixtures("clean")
def test_making_one_removes_the_oldest_and_keeps_those_in_use(
    runtime: Runtime, shared: Cache
) -> None:
    runtimes = shared.root / "runtimes"
    for age in range(6):
        (runtimes / f"old{age}").mkdir()
        os.utime(runtimes / f"old{age}", (1000 - age, 1000 - age))
    # What is no runtime must not stop it.
    (runtimes / "stray").symlink_to("nowhere")
    shutil.rmtree(runtimes / runtime.key)
    anyio.run(get_runtime, shared, Silent())
    found = {path.name for path in runtimes.iterdir()}
    assert found == {runtime.key, "stray", "old0", "old1"}


def test_the_agent_is_the_code_of_its_two_packages() -> None:
    sources = agent_sources()
    assert {"wire/frames.py", "guest/main.py", "guest/initramfs/init.sh"} <= set(sources)
    assert {name.partition("/")[0] for name in sources} == {"wire", "guest"}
    assert not [name for name in sources if "__pycache__" in name]


def test_any_change_of_the_agent_or_the_kit_is_another_runtime(tmp_path: Path) -> None:
    one = {"wire/a.py": b"1", "wire/b.py": b"2"}
    variants = [
        (tmp_path / "kit", one),
        (tmp_path / "other", one),
        (tmp_path / "kit", one | {"wire/a.py": b"2"}),
        (tmp_path / "kit", one | {"wire/c.py": b""}),
        (tmp_path / "kit", {"wire/a.py": b"1"}),
        (tmp_path / "kit", {"wire/a.py": b"2", "wire/b.py": b"1"}),
        (tmp_path / "kit", {"wire/a.py\0": b"1", "wire/b.py": b"2"}),
    ]
    keys = [runtime_key(kit, sources) for kit, sources in variants]
    assert len(set(keys)) == len(keys)
    assert runtime_key(tmp_path / "kit", dict(reversed(one.items()))) == keys[0]


def test_a_cache_that_cannot_be_written_is_told(
    kit: Path, tmp_path: Path, ordinarily: Callable[..., str]
) -> None:
    root = tmp_path / "cache"
    (root / "kits").mkdir(parents=True)
    (root / "kits" / kit.name).symlink_to(kit)
    root.chmod(0o500)
    code = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.images.runtime import get_runtime
try:
    anyio.run(get_runtime, Cache(Path(sys.argv[1])), Silent())
except ImageError as error:
    print(error)
"""
    assert ordinarily(code, root) == f"cannot write the cache {root}: Permission denied\n"
