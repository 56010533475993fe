from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import ImageError, StockadeError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.locks import parse_lock
from stockade.sandbox.images.relock import relock

pytestmark = pytest.mark.usefixtures("cache")

# The real thing needs a network and a minute. This one packs what a mirror might have today.
_MMDEBSTRAP = """
if [ -s "/proc/self/fd/$PINS" ]; then echo 'E: pinned' >&2; exit 1; fi
printf 'git=1:2.40\\nbash=5.2\\n' > "/proc/self/fd/$PACKAGES"
mkfs.erofs $EROFS_OPTIONS "/proc/self/fd/$IMAGE" "$TMPDIR"
"""


def test_a_lock_is_what_a_build_without_one_gives(
    program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    program("mmdebstrap", _MMDEBSTRAP)
    before = int(time.time())
    path = anyio.run(relock, "debian-python", tmp_path)
    assert path == tmp_path / "debian-python.lock"
    lock = parse_lock(path.read_text())
    assert lock.versions == {"bash": "5.2", "git": "1:2.40"}
    assert before <= lock.epoch <= time.time()


@pytest.mark.usefixtures("packages")
def test_the_runtimes_lock_is_that_of_its_kit(tmp_path: Path) -> None:
    lock = parse_lock(anyio.run(relock, "runtime", tmp_path).read_text())
    assert lock.versions == {
        "bash": "5.2",
        "python3-minimal": "1:3.11.2",
        "libc6": "2.36-9+deb12u9",
    }


def test_a_build_that_fails_leaves_the_former_lock(
    program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    (tmp_path / "debian-python.lock").write_text("former=1\n")
    program("mmdebstrap", "exit 1")
    with pytest.raises(ImageError):
        anyio.run(relock, "debian-python", tmp_path)
    assert (tmp_path / "debian-python.lock").read_text() == "former=1\n"


def test_a_lock_that_is_none_is_refused(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(StockadeError, match=r"no lock named '\.\./nope'") as caught:
        anyio.run(relock, "../nope", tmp_path)
    assert caught.value.hint == "debian-python or runtime"
    assert not cache.root.exists()


def test_the_command_says_what_is_wrong_in_one_line() -> None:
    argv = [sys.executable, "-m", "stockade.sandbox.images.relock", "nope"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "no lock named 'nope'. debian-python or runtime\n"
