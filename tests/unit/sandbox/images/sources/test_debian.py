from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.locks import Lock, load_lock
from stockade.sandbox.images.manifest import Drift
from stockade.sandbox.images.prepare import prepare
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.images.sources.debian import PACKAGES, DebianPython, warn_of_drift
from stockade.sandbox.images.store import Image, ImageStore

LOCK = Lock({"bash": "5.2", "git": "2.39"}, epoch=1_700_000_000)

# The real thing needs a network and a minute. This one packs a tree as the hook would.
_MMDEBSTRAP = """
mkdir "$TMPDIR/root" && echo debian > "$TMPDIR/root/hello"
printf 'bash=5.2\\ngit=2.40\\n' > "/proc/self/fd/$PACKAGES"
mkfs.erofs $EROFS_OPTIONS "/proc/self/fd/$IMAGE" "$TMPDIR/root"
"""


@pytest.fixture(scope="session")
def image() -> Image:
    """Give the default image, which `make test` has built."""
    return anyio.run(prepare, DebianPython.name)


def test_the_default_image_has_its_packages(image: Image) -> None:
    assert set(PACKAGES) <= set(image.manifest.packages)
    assert image.manifest.architecture == "amd64"
    assert image.manifest.workdir == "/workspace"
    assert image.manifest.env == {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    assert image.manifest.drift == load_lock(DebianPython.name).drift(image.manifest.packages)
    assert not {"gcc", "gcc-12", "g++", "clang", "make"} & set(image.manifest.packages)
    assert len(image.manifest.digest) == 64


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/workspace", "Uid: 1000   Gid: 1000  Access: 0755"),
        ("/home/agent", "Uid: 1000   Gid: 1000"),
        ("/etc/shadow", "Uid: 0"),
        ("/usr/bin/python3", "symlink"),
        ("/usr/bin/git", "regular file"),
        ("/etc/machine-id", "Size: 0 "),
        ("/etc/hostname", "Size: 9 "),
        ("/proc", "directory"),
        ("/dev", "directory"),
        ("/usr/share/doc/bash/copyright", "regular file"),
    ],
)
def test_the_default_image_is_laid_out_for_an_agent(
    image: Image, inode: Callable[[Path, str], str], path: str, said: str
) -> None:
    assert said in inode(image.path, path)


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/gcc",
        "/usr/bin/cc",
        "/usr/share/man/man1",
        # What would tell of the host that built it.
        "/etc/resolv.conf",
        "/etc/apt/sources.list",
        "/etc/apt/preferences.d/stockade",
        "/etc/apt/apt.conf.d/99mmdebstrap",
        "/etc/passwd-",
        "/dev/null",
        "/var/lib/dbus/machine-id",
        "/var/log/dpkg.log",
    ],
)
def test_the_default_image_lacks_what_no_agent_needs(
    image: Image, inode: Callable[[Path, str], str], path: str
) -> None:
    assert not inode(image.path, path)


def test_what_is_installed_becomes_the_manifest(
    cache: Cache,
    program: Callable[[str, str], Path],
    extract: Callable[[Path], Path],
    progress: Progress,
    warnings: list[str],
) -> None:
    program("mmdebstrap", _MMDEBSTRAP)
    image = anyio.run(ImageStore(cache.root).get, DebianPython(LOCK), progress)
    assert (extract(image.path) / "hello").read_text() == "debian\n"
    assert image.manifest.packages == {"bash": "5.2", "git": "2.40"}
    assert image.manifest.drift == (Drift(package="git", locked="2.39", built="2.40"),)
    assert warnings == ["debian-python: the mirror no longer has every locked version: git 2.40"]


@pytest.mark.parametrize("said", ["bash\\n", "bash=1\\nbash=2\\n"])
def test_a_list_of_packages_that_makes_no_sense_leaves_no_image(
    cache: Cache, program: Callable[[str, str], Path], said: str
) -> None:
    script = _MMDEBSTRAP.replace("bash=5.2\\ngit=2.40\\n", said)
    program("mmdebstrap", script)
    with pytest.raises(ImageError, match="installed packages"):
        anyio.run(ImageStore(cache.root).get, DebianPython(LOCK), Silent())
    assert not (cache.root / "images").exists()
    assert [*(cache.root / "tmp").iterdir()] == []


def test_a_build_without_a_mirror_leaves_no_image(
    cache: Cache, program: Callable[[str, str], Path]
) -> None:
    program("mmdebstrap", "echo \"E: Could not resolve 'mirror.example'\" >&2; exit 1")
    with pytest.raises(ImageError, match="the Debian mirror cannot be reached"):
        anyio.run(ImageStore(cache.root).get, DebianPython(LOCK), Silent())
    assert not (cache.root / "images").exists()


def test_the_key_follows_the_lock() -> None:
    keys = {
        anyio.run(DebianPython(lock).key)
        for lock in (
            LOCK,
            Lock(LOCK.versions, epoch=1),
            Lock(LOCK.versions | {"git": "2.40"}, LOCK.epoch),
            Lock({}),
        )
    }
    assert len(keys) == 4
    assert anyio.run(DebianPython(LOCK).key) == anyio.run(DebianPython(LOCK).key)


def test_without_a_lock_it_is_the_one_that_comes_along() -> None:
    default = anyio.run(DebianPython().key)
    assert default == anyio.run(DebianPython(load_lock(DebianPython.name)).key)


def _drift(count: int) -> tuple[Drift, ...]:
    return tuple(Drift(package=f"p{n}", locked="1", built="2") for n in range(count))


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        ((), []),
        (_drift(1), ["p0 2"]),
        (_drift(3), ["p0 2, p1 2, p2 2"]),
        (_drift(5), ["p0 2, p1 2, p2 2 and 2 more"]),
        ((Drift(package="gone", locked="1", built=None),), ["gone (gone)"]),
    ],
)
def test_drift_is_told_in_one_line(
    drift: tuple[Drift, ...], said: list[str], progress: Progress, warnings: list[str]
) -> None:
    warn_of_drift(drift, "it", progress)
    assert warnings == [
        f"it: the mirror no longer has every locked version: {text}" for text in said
    ]
