from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache, disk_errors, remove_tree, scratch_directory

pytestmark = pytest.mark.anyio

_PATIENCE = 20.0  # seconds until a test that waits in vain fails

# Other processes, for a lock of one's own process would prove little. Each says when it is there
# and ends when its standard input does.
_HOLD_LOCK = """
import anyio, sys
from pathlib import Path
from stockade.sandbox.images.cache import Cache
async def work():
    async with Cache(Path(sys.argv[1])).lock("one"):
        print("held", flush=True)
        sys.stdin.read()
anyio.run(work)
"""
_HOLD_SCRATCH = """
import anyio, sys
from pathlib import Path
from stockade.sandbox.images.cache import Cache
async def work():
    async with Cache(Path(sys.argv[1])).scratch() as path:
        (path / "closed").mkdir()
        (path / "closed" / "file").touch()
        (path / "closed").chmod(0o500)
        print(path, flush=True)
        sys.stdin.read()
anyio.run(work)
"""


class _Other:
    """Another process that runs ``code`` on a cache."""

    def __init__(self, code: str, cache: Cache) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, cache.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def _make(folder: Path, content: str) -> Path:
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_text(content)
    return folder


async def test_a_lock_is_free_again_after_it_was_held(cache: Cache) -> None:
    for _ in range(2):
        async with cache.lock("one"):
            pass


async def test_one_at_a_time_holds_a_lock(cache: Cache) -> None:
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with cache.lock("one"):
            inside += 1
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            inside -= 1

    with anyio.fail_after(_PATIENCE):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(work)
    assert (inside, most) == (0, 1)


async def test_locks_of_different_names_do_not_exclude_each_other(cache: Cache) -> None:
    with anyio.fail_after(_PATIENCE):
        async with cache.lock("one"), cache.lock("two"):
            pass


async def test_who_waits_for_another_process_is_told_once_and_then_goes_on(cache: Cache) -> None:
    other = _Other(_HOLD_LOCK, cache)
    told = []

    def waiting() -> None:
        told.append("waiting")
        other.end()

    with anyio.fail_after(_PATIENCE):
        async with cache.lock("one", waiting=waiting):
            assert told == ["waiting"]


async def test_the_lock_of_a_killed_process_is_free(cache: Cache) -> None:
    other = _Other(_HOLD_LOCK, cache)
    assert other.said == "held"
    with anyio.fail_after(_PATIENCE):
        async with cache.lock("one", waiting=other.kill):
            pass


async def test_waiting_for_a_lock_can_be_cancelled(cache: Cache) -> None:
    other = _Other(_HOLD_LOCK, cache)
    with anyio.fail_after(_PATIENCE), anyio.CancelScope() as scope:
        async with cache.lock("one", waiting=scope.cancel):
            pytest.fail("the lock was held twice")
    assert scope.cancelled_caught
    other.end()


async def test_scratch_space_is_private_and_gone_afterwards(cache: Cache) -> None:
    async with cache.scratch() as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        _make(path / "tree", "x")
    assert list((cache.root / "tmp").iterdir()) == []


async def test_scratch_space_is_gone_after_an_error(cache: Cache) -> None:
    with pytest.raises(ZeroDivisionError):
        async with cache.scratch() as path:
            _make(path / "tree", str(1 / 0))
    assert list((cache.root / "tmp").iterdir()) == []


async def test_scratch_space_is_gone_after_cancelling(cache: Cache) -> None:
    with anyio.CancelScope() as scope:
        async with cache.scratch() as path:
            _make(path / "tree", "x")
            scope.cancel()
            await anyio.sleep_forever()
    assert list((cache.root / "tmp").iterdir()) == []


async def test_what_a_killed_build_left_is_swept_and_what_a_living_one_uses_is_not(
    cache: Cache,
) -> None:
    living, killed = _Other(_HOLD_SCRATCH, cache), _Other(_HOLD_SCRATCH, cache)
    killed.kill()
    assert {living.said, killed.said} == {str(entry) for entry in (cache.root / "tmp").iterdir()}
    async with cache.scratch() as path:
        found = {str(entry) for entry in (cache.root / "tmp").iterdir()}
        assert found == {living.said, str(path)}
    living.end()
    assert list((cache.root / "tmp").iterdir()) == []


async def test_a_link_among_scratch_spaces_is_not_followed(cache: Cache, tmp_path: Path) -> None:
    precious = _make(tmp_path / "precious", "x")
    (cache.root / "tmp").mkdir(parents=True)
    (cache.root / "tmp" / "link").symlink_to(precious)
    (cache.root / "tmp" / "file").touch()
    async with cache.scratch():
        pass
    assert (precious / "below" / "file").exists()


async def test_a_scratch_space_is_removed_as_its_owner_says(tmp_path: Path) -> None:
    removed = []

    def remove(path: Path) -> None:
        removed.append(path)
        remove_tree(path)

    async with scratch_directory(tmp_path, remove=remove) as path:
        pass
    assert removed == [path]


def test_what_is_published_is_in_its_place_and_whole(cache: Cache, tmp_path: Path) -> None:
    made = _make(tmp_path / "made", "new")
    (made / "dangling").symlink_to("nowhere")
    cache.publish(made, cache.root / "things" / "one")
    assert (cache.root / "things" / "one" / "below" / "file").read_text() == "new"
    assert not made.exists()


@pytest.mark.parametrize("former", ["directory", "file", "link"])
def test_what_was_there_before_gives_way(cache: Cache, tmp_path: Path, former: str) -> None:
    final = cache.root / "one"
    cache.root.mkdir()
    precious = _make(tmp_path / "precious", "x")
    if former == "directory":
        _make(final, "old")
    elif former == "file":
        final.touch()
    else:
        final.symlink_to(precious)
    cache.publish(_make(tmp_path / "made", "new"), final)
    assert (final / "below" / "file").read_text() == "new"
    assert (precious / "below" / "file").read_text() == "x"


def test_several_may_publish_the_same_at_the_same_time(cache: Cache, tmp_path: Path) -> None:
    errors = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait(_PATIENCE)
        for turn in range(50):
            try:
                cache.publish(_make(tmp_path / f"made-{number}-{turn}", "x"), cache.root / "one")
            except ImageError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (cache.root / "one" / "below" / "file").read_text() == "x"


def test_a_tree_with_closed_directories_is_removed(
    tmp_path: Path, ordinarily: Callable[..., str]
) -> None:
    for mode in (0o000, 0o200, 0o400, 0o500, 0o600):
        folder = tmp_path / "tree" / f"{mode:o}"
        _make(folder, "x")
        (folder / "below").chmod(mode)
        folder.chmod(mode)
    (tmp_path / "tree").chmod(0o500)
    code = """
import sys
from pathlib import Path
from stockade.sandbox.images.cache import remove_tree
remove_tree(Path(sys.argv[1]))
"""
    ordinarily(code, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_tree_deeper_than_python_can_recurse_is_removed(tmp_path: Path) -> None:
    for level in range(1100):
        os.mkdir(f"{tmp_path}/{'d/' * level}d")  # noqa: PTH102 - pathlib cannot go as deep
    remove_tree(tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_removing_a_tree_never_leaves_it(tmp_path: Path) -> None:
    precious = _make(tmp_path / "precious", "x")
    precious.chmod(0o755)
    tree = _make(tmp_path / "tree", "x")
    (tree / "out").symlink_to(precious)
    (tree / "below" / "up").symlink_to("../..")
    os.link(precious / "below" / "file", tree / "hard")
    os.mkfifo(tree / "fifo")
    remove_tree(tree)
    assert not tree.exists()
    assert (precious / "below" / "file").read_text() == "x"
    assert stat.S_IMODE(precious.stat().st_mode) == 0o755


def test_removing_takes_files_links_and_nothing_at_all(tmp_path: Path) -> None:
    precious = _make(tmp_path / "precious", "x")
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "file").touch()
    for name in ("link", "file", "nothing"):
        remove_tree(tmp_path / name)
    assert list(tmp_path.iterdir()) == [precious]


@pytest.mark.parametrize(
    ("number", "message", "hint"),
    [
        (errno.ENOSPC, "no space left on the disk", "on a larger disk"),
        (errno.EDQUOT, "no space left on the disk", "on a larger disk"),
        (errno.EROFS, "Read-only file system", "that you can write"),
        (errno.EACCES, "Permission denied", "that you can write"),
    ],
)
def test_what_the_disk_refuses_is_told_in_one_line(number: int, message: str, hint: str) -> None:
    with pytest.raises(ImageError, match=message) as caught, disk_errors(Path("/somewhere")):
        raise OSError(number, os.strerror(number))
    assert str(caught.value).startswith("cannot write the cache /somewhere: ")
    assert hint in caught.value.hint


async def test_a_cache_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file")
    with pytest.raises(ImageError, match="cannot write the cache"):
        async with cache.lock("one"):
            pass
    with pytest.raises(ImageError, match="cannot write the cache"):
        async with cache.scratch():
            pass
    with pytest.raises(ImageError, match="cannot write the cache"):
        cache.publish(_make(tmp_path / "made", "x"), cache.root / "one")


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, ordinarily: Callable[..., str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    code = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache
cache = Cache(Path(sys.argv[1]))
async def work(manager):
    try:
        async with manager:
            pass
    except ImageError as error:
        print(error, error.hint, sep="; ")
anyio.run(work, cache.lock("one"))
anyio.run(work, cache.scratch())
"""
    for line in ordinarily(code, tmp_path / "closed").splitlines():
        assert line.startswith(f"cannot write the cache {tmp_path}/closed")
        assert line.endswith(
            ": Permission denied; Set STOCKADE_CACHE_DIR to a directory that you can write."
        )


def test_a_full_disk_is_told_and_leaves_nothing(on_a_small_disk: Callable[..., str]) -> None:
    code = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache
root = Path(sys.argv[1])
async def work():
    async with Cache(root).scratch() as path:
        (path / "large").write_bytes(bytes(1 << 21))
try:
    anyio.run(work)
except ImageError as error:
    print(error)
print(list((root / "tmp").iterdir()))
"""
    message, left = on_a_small_disk(code).splitlines()
    assert message.endswith("no space left on the disk")
    assert left == "[]"
