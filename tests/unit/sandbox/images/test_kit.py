from __future__ import annotations

import json
import shutil
from pathlib import Path

import anyio
import pytest

from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.kit import PACKAGES, facts, get_kit, kit_key
from stockade.sandbox.images.locks import Lock, load_lock
from stockade.sandbox.images.progress import Progress, Silent

LOCK = Lock({"bash": "5.1", "python3-minimal": "3.11.2"}, epoch=1_700_000_000)


def _get(cache: Cache, progress: Progress | None = None) -> Path:
    return anyio.run(get_kit, cache, progress or Silent(), LOCK)


def _files(tree: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(tree)): path.read_bytes() if path.is_file() else None
        for path in tree.rglob("*")
    }


def test_a_kit_is_made_of_packages_and_the_same_packages_make_the_same_kit(
    cache: Cache, packages: Path, kit: Path, progress: Progress, warnings: list[str]
) -> None:
    made = _get(cache, progress)
    assert made == cache.root / "kits" / kit_key(LOCK)
    # Made of the kit's own parts, it has the same ones.
    expected, found = _files(kit), _files(made)
    del expected["kit.json"], found["kit.json"]
    assert found == expected
    about = facts(made)
    assert about is not None
    assert about.packages == {
        "bash": "5.2",
        "python3-minimal": "1:3.11.2",
        "libc6": "2.36-9+deb12u9",
    }
    assert [drift.package for drift in about.drift] == ["bash", "libc6", "python3-minimal"]
    (warning,) = warnings
    assert warning.startswith("runtime: the mirror no longer has every locked version: bash 5.2")
    assert [*(cache.root / "tmp").iterdir()] == []

    # It is there from now on, whatever became of the packages.
    shutil.rmtree(packages)
    assert _get(cache) == made


@pytest.mark.parametrize("content", ["", "{", "[]", '{"packages": 5}', '{"unknown": 1}', "\0"])
def test_a_kit_that_is_damaged_counts_as_absent(tmp_path: Path, content: str) -> None:
    assert facts(tmp_path) is None
    (tmp_path / "kit.json").write_text(content)
    assert facts(tmp_path) is None


def test_a_damaged_kit_is_replaced_as_a_whole(cache: Cache, packages: Path) -> None:
    kit = cache.root / "kits" / kit_key(LOCK)
    kit.mkdir(parents=True)
    (kit / "kit.json").write_text('{"packages": ')
    (kit / "half").touch()
    assert _get(cache) == kit
    assert facts(kit) is not None
    assert not (kit / "half").exists()


def test_another_lock_is_another_kit() -> None:
    keys = {
        kit_key(LOCK),
        kit_key(Lock(LOCK.versions, epoch=0)),
        kit_key(Lock(LOCK.versions | {"bash": "5.2"}, LOCK.epoch)),
        kit_key(Lock({})),
    }
    assert len(keys) == 4


def test_the_kit_of_this_host_is_of_the_locked_packages(kit: Path) -> None:
    assert kit.name == kit_key(load_lock("runtime"))
    about = facts(kit)
    assert about is not None
    assert set(PACKAGES) <= set(about.packages)
    assert json.loads((kit / "kit.json").read_text())["packages"] == about.packages
    assert about.drift == load_lock("runtime").drift(about.packages)
