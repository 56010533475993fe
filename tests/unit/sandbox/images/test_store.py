from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.manifest import ImageFacts
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.images.sources.directory import DirectoryImage
from stockade.sandbox.images.store import Image, ImageStore

pytestmark = pytest.mark.anyio

_PATIENCE = 20.0  # seconds until a test that waits in vain fails
_KEY = "k" * 64


class Source:
    """An image that is quickly made: the store does not look into it."""

    def __init__(
        self, content: bytes = b"content", *, name: str = "one", key: str = _KEY, **env: str
    ) -> None:
        self.name = name
        self.builds = 0
        self._content = content
        self._key = key
        self._facts = ImageFacts(env=env)

    async def key(self) -> str:
        return self._key

    async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts:
        self.builds += 1
        progress.stage("making", 0.5)
        (scratch / "leftover").write_bytes(self._content)
        await anyio.Path(target).write_bytes(self._content)
        return self._facts


@pytest.fixture
def store(cache: Cache) -> ImageStore:
    return ImageStore(cache.root)


async def _get(store: ImageStore, source: Source, *, rebuild: bool = False) -> Image:
    return await store.get(source, Silent(), rebuild=rebuild)


async def test_an_image_is_built_once(store: ImageStore) -> None:
    source = Source(PATH="/bin")
    first = await _get(store, source)
    assert first.path.read_bytes() == b"content"
    assert (first.manifest.name, first.manifest.size) == ("one", 7)
    assert first.manifest.env == {"PATH": "/bin"}
    assert await _get(store, source) == first
    assert source.builds == 1


async def test_an_image_can_be_read_by_all_and_written_by_none(store: ImageStore) -> None:
    image = await _get(store, Source())
    assert image.path.stat().st_mode & 0o777 == 0o444
    assert image.path.parent.stat().st_mode & 0o777 == 0o755


async def test_a_build_leaves_nothing_but_the_image(store: ImageStore, cache: Cache) -> None:
    image = await _get(store, Source())
    assert list((cache.root / "tmp").iterdir()) == []
    assert {path.name for path in image.path.parent.iterdir()} == {"root.erofs", "manifest.json"}


async def test_a_build_is_told_from_start_to_end(
    store: ImageStore, progress: Progress, stages: list[tuple[str, float | None]]
) -> None:
    await store.get(Source(), progress)
    shares = [share for _, share in stages if share is not None]
    assert shares == sorted(shares)
    assert stages[-1] == ("built one", 1.0)


async def test_rebuilding_builds_although_it_is_there(store: ImageStore) -> None:
    source = Source()
    first = await _get(store, source)
    again = await _get(store, source, rebuild=True)
    assert source.builds == 2
    assert again.path == first.path
    assert store.list() == [again]


async def test_another_key_is_another_build(store: ImageStore) -> None:
    await _get(store, Source(b"old", key="a" * 64))
    image = await _get(store, Source(b"new", key="b" * 64))
    assert image.path.read_bytes() == b"new"
    assert [image.manifest.size for image in store.list()] == [3, 3]


async def test_images_of_equal_contents_keep_what_is_known_of_each(store: ImageStore) -> None:
    # As two tags of one image that differ in their environment alone.
    first = Source(name="first", key="a" * 64, MODE="test")
    second = Source(name="second", key="b" * 64, MODE="live")
    await _get(store, first)
    await _get(store, second)
    assert (await _get(store, first)).manifest.env == {"MODE": "test"}
    assert (await _get(store, second)).manifest.env == {"MODE": "live"}
    assert (first.builds, second.builds) == (1, 1)


def _truncate(image: Image) -> None:
    image.path.chmod(0o600)
    with image.path.open("r+b") as file:
        file.truncate(3)


def _append(image: Image) -> None:
    image.path.chmod(0o600)
    with image.path.open("ab") as file:
        file.write(b"more")


def _cut_manifest(image: Image) -> None:
    manifest = image.path.with_name("manifest.json")
    manifest.write_text(manifest.read_text()[:40])


def _empty_manifest(image: Image) -> None:
    image.path.with_name("manifest.json").write_text("")


def _foreign_manifest(image: Image) -> None:
    manifest = image.path.with_name("manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"digest": "0" * 64}))


def _remove_image(image: Image) -> None:
    image.path.unlink()


def _remove_manifest(image: Image) -> None:
    image.path.with_name("manifest.json").unlink()


def _directory_for_image(image: Image) -> None:
    image.path.unlink()
    image.path.mkdir()


def _cut_key(image: Image) -> None:
    key = image.path.parents[2] / "keys" / _KEY
    key.write_text(key.read_text()[:40])


def _evil_key(image: Image) -> None:
    (image.path.parents[2] / "keys" / _KEY).write_text("../../../etc")


def _binary_key(image: Image) -> None:
    (image.path.parents[2] / "keys" / _KEY).write_bytes(b"\xff\0" * 100)


def _directory_for_key(image: Image) -> None:
    key = image.path.parents[2] / "keys" / _KEY
    key.unlink()
    (key.parent / key.name).symlink_to("loop")
    (key.parent / "loop").symlink_to(key.name)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _append,
        _cut_manifest,
        _empty_manifest,
        _foreign_manifest,
        _remove_image,
        _remove_manifest,
        _directory_for_image,
        _cut_key,
        _evil_key,
        _binary_key,
        _directory_for_key,
    ],
)
async def test_a_damaged_entry_is_rebuilt(
    store: ImageStore, damage: Callable[[Image], None]
) -> None:
    source = Source()
    damage(await _get(store, source))
    image = await _get(store, source)
    assert image.path.read_bytes() == b"content"
    assert source.builds == 2
    assert await _get(store, source) == image
    assert source.builds == 2


@pytest.mark.parametrize(
    "damage", [_truncate, _cut_manifest, _foreign_manifest, _remove_image, _remove_manifest]
)
async def test_a_damaged_image_does_not_count(
    store: ImageStore, damage: Callable[[Image], None]
) -> None:
    image = await _get(store, Source())
    damage(image)
    assert store.list() == []
    assert store.find("one") is None
    with pytest.raises(ImageError, match="no image 'one'"):
        store.remove("one")


async def test_a_changed_byte_is_found_when_asked_to_verify(store: ImageStore) -> None:
    image = await _get(store, Source())
    assert store.find("one", verify=True) == image
    image.path.chmod(0o600)
    image.path.write_bytes(b"cOntent")
    assert store.find("one") == image
    with pytest.raises(ImageError, match="image one is damaged") as caught:
        store.find("one", verify=True)
    assert caught.value.hint == f"Run: stockade image remove {image.manifest.digest[:12]}"
    store.remove(image.manifest.digest[:12])
    await _get(store, Source())
    assert store.find("one", verify=True) is not None


async def test_strangers_in_the_store_are_ignored(store: ImageStore, cache: Cache) -> None:
    image = await _get(store, Source())
    images = cache.root / "images"
    (images / "file").touch()
    (images / ("f" * 64)).symlink_to("nowhere")
    (images / ("e" * 64)).mkdir()
    (images / "no digest").mkdir()
    assert store.list() == [image]


def test_an_empty_store_has_nothing(store: ImageStore) -> None:
    assert store.list() == []
    assert store.find("one") is None
    with pytest.raises(ImageError, match="no image 'one' in the store") as caught:
        store.remove("one")
    assert caught.value.hint == "Run: stockade image list"


async def test_images_are_found_by_name_and_by_the_start_of_their_digest(
    store: ImageStore,
) -> None:
    image = await _get(store, Source())
    digest = image.manifest.digest
    assert [store.find(name) for name in ("one", digest, digest[:6])] == [image] * 3
    assert store.find(digest[:5]) is None
    assert store.find("on") is None
    assert store.find("") is None


async def test_removing_a_name_removes_all_images_of_it(store: ImageStore) -> None:
    first = await _get(store, Source(b"old", key="a" * 64))
    second = await _get(store, Source(b"new", key="b" * 64))
    other = await _get(store, Source(b"other", name="other", key="c" * 64))
    assert {image.path for image in store.remove("one")} == {first.path, second.path}
    assert store.list() == [other]
    assert not first.path.parent.exists()


async def test_the_start_of_several_digests_is_refused(store: ImageStore, cache: Cache) -> None:
    image = await _get(store, Source())
    digest = image.manifest.digest
    twin = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    folder = cache.root / "images" / twin
    folder.mkdir()
    (folder / "root.erofs").write_bytes(b"content")
    manifest = image.manifest.model_copy(update={"digest": twin})
    (folder / "manifest.json").write_text(manifest.text())
    with pytest.raises(ImageError, match=f"{digest[:8]} is the start of 2 digests"):
        store.find(digest[:8])
    assert store.find(digest) == image


async def test_a_removed_image_can_still_be_read_by_who_has_it_open(store: ImageStore) -> None:
    image = await _get(store, Source())
    with image.path.open("rb") as file:
        store.remove("one")
        assert file.read() == b"content"


async def test_a_removed_image_is_built_again(store: ImageStore) -> None:
    source = Source()
    await _get(store, source)
    store.remove("one")
    await _get(store, source)
    assert source.builds == 2


async def test_two_who_want_the_same_image_build_it_once(store: ImageStore) -> None:
    source = Source()
    found = []

    async def work() -> None:
        found.append(await _get(store, source))

    with anyio.fail_after(_PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(work)
    assert source.builds == 1
    assert found[0] == found[1]


# Builds an image in a process of its own, once it is told to go on.
_BUILD = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import StockadeError
from stockade.sandbox.images.manifest import ImageFacts
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.images.store import ImageStore
class Source:
    name = "one"
    async def key(self):
        return "k" * 64
    async def build(self, target, scratch, progress):
        target.write_bytes(b"half")
        print("building", flush=True)
        sys.stdin.readline()
        target.write_bytes(b"content")
        return ImageFacts(env={"BY": "the other"})
anyio.run(ImageStore(Path(sys.argv[1])).get, Source(), Silent())
"""


def _start_build(cache: Cache) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, cache.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    return process


async def test_who_comes_second_waits_for_another_process_and_takes_its_image(
    store: ImageStore, cache: Cache
) -> None:
    other = _start_build(cache)
    told = []

    class Watch(Silent):
        def stage(self, title: str, done: float | None) -> None:
            told.append(title)
            other.communicate("go on\n")

    source = Source()
    with anyio.fail_after(_PATIENCE):
        image = await store.get(source, Watch())
    assert told == ["waiting for another process that builds one"]
    assert source.builds == 0
    assert image.manifest.env == {"BY": "the other"}


async def test_a_killed_build_leaves_nothing_and_holds_up_nobody(
    store: ImageStore, cache: Cache
) -> None:
    other = _start_build(cache)
    assert store.list() == []
    other.kill()
    other.communicate()
    source = Source()
    with anyio.fail_after(_PATIENCE):
        image = await _get(store, source)
    assert source.builds == 1
    assert store.list() == [image]
    assert list((cache.root / "tmp").iterdir()) == []


async def test_a_failed_build_leaves_nothing_and_the_next_may_go_well(
    store: ImageStore, cache: Cache
) -> None:
    class Broken(Source):
        async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts:
            await super().build(target, scratch, progress)
            raise ImageError("cannot make it")

    with pytest.raises(ImageError, match="cannot make it"):
        await _get(store, Broken())
    assert list((cache.root / "tmp").iterdir()) == []
    assert store.list() == []
    assert (await _get(store, Source())).path.read_bytes() == b"content"


async def test_a_cancelled_build_leaves_nothing(store: ImageStore, cache: Cache) -> None:
    class Slow(Source):
        async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts:
            facts = await super().build(target, scratch, progress)
            scope.cancel()
            await anyio.sleep_forever()
            return facts

    with anyio.CancelScope() as scope:
        await _get(store, Slow())
    assert list((cache.root / "tmp").iterdir()) == []
    assert store.list() == []


_GET = """
import anyio, sys
from pathlib import Path
from stockade.model.errors import ImageError
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.images.sources.directory import DirectoryImage
from stockade.sandbox.images.store import ImageStore
root, tree = map(Path, sys.argv[1:])
store = ImageStore(root)
for what in (lambda: anyio.run(store.get, DirectoryImage(tree), Silent()), store.list):
    try:
        print(what())
    except ImageError as error:
        print(error)
"""


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, tree: Path, ordinarily: Callable[..., str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    build, listing = ordinarily(_GET, tmp_path / "closed", tree).splitlines()
    assert build == f"cannot write the cache {tmp_path / 'closed'}: Permission denied"
    assert listing == "[]"


def test_a_cache_that_cannot_be_read_is_told(
    tmp_path: Path, tree: Path, ordinarily: Callable[..., str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    for line in ordinarily(_GET, tmp_path / "closed", tree).splitlines():
        assert line.startswith(f"cannot write the cache {tmp_path / 'closed'}")
        assert line.endswith(": Permission denied")


def test_a_full_disk_is_told_and_no_image_counts(
    tree: Path, on_a_small_disk: Callable[..., str]
) -> None:
    (tree / "large").write_bytes(os.urandom(3 << 20))
    build, listing = on_a_small_disk(_GET, tree).splitlines()
    assert build == f"cannot pack {tree}: no space left on the disk"
    assert listing == "[]"


async def test_the_digest_is_that_of_the_image(store: ImageStore, tree: Path) -> None:
    image = await store.get(DirectoryImage(tree), Silent())
    digest = hashlib.sha256(image.path.read_bytes()).hexdigest()
    assert image.manifest.digest == image.path.parent.name == digest
