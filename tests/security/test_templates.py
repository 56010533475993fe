"""Attacks on templates: damage at rest, death while they are made, and what a session leaves."""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from stockade.sandbox.images.cache import Cache
from stockade.sandbox.paths import cache_dir
from stockade.sandbox.sandbox import Sandbox
from stockade.sandbox.templates.store import Template, TemplateStore

pytestmark = [pytest.mark.machine, pytest.mark.anyio]

_STOCKADE = str(Path(sys.executable).with_name("stockade"))
_SHARED = ("images", "keys", "kits", "runtimes")
_SEED = 20_261_124
_KILLS = int(os.environ.get("STOCKADE_SOAK", "3"))


class Place:
    """A cache of its own, with the images and the runtime of the user's."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.cache.mkdir()
        for name in _SHARED:
            (self.cache / name).symlink_to(cache_dir() / name)
        if (cache_dir() / "kvm.json").exists():
            shutil.copy(cache_dir() / "kvm.json", self.cache)
        self.env = {**os.environ, "STOCKADE_CACHE_DIR": str(self.cache)}

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [_STOCKADE, "run", "--", *command],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *command: str) -> tuple[int, bytes, bytes]:
        with self.start(*command) as process:
            output, said = process.communicate(timeout=200)
            return process.returncode, output, said

    @property
    def template(self) -> Template:
        store = TemplateStore(Cache(self.cache))
        (found,) = store.all()
        template = store.find(found.key)
        assert template
        return template


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("templates"))
    assert made.run("true")[0] == 0
    return made


def _flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


def _data(path: Path) -> int:
    """Somewhere in what the file holds, past its first hole."""
    with path.open("rb") as file:
        start = os.lseek(file.fileno(), 64 << 20, os.SEEK_DATA)
    return start + 100


def _flip_a_bit(template: Template) -> None:
    _flip(template.ram, _data(template.ram))


def _cut_state(template: Template) -> None:
    os.truncate(template.state, template.state.stat().st_size // 2)


def _lose_facts(template: Template) -> None:
    (template.folder / "template.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [_flip_a_bit, _cut_state, _lose_facts],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_a_damaged_template_is_made_anew_and_never_run(
    place: Place, damage: Callable[[Template], None]
) -> None:
    before = place.template
    damage(before)
    code, output, said = place.run("echo", "sound")
    assert (code, output) == (0, b"sound\n"), said
    assert b"a template is damaged and made anew" in said
    assert b"Traceback" not in said
    assert place.template.facts.created > before.facts.created
    assert place.run("true")[2] == b""


def _reached(
    process: subprocess.Popen[bytes], size: Callable[[], int], enough: int
) -> Callable[[], bool]:
    return lambda: size() >= enough or process.poll() is not None


def test_death_while_a_template_is_made_breaks_nothing(
    tmp_path: Path, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    """At some moment of it, again and again."""
    place, moments = Place(tmp_path), random.Random(_SEED)
    scratch = place.cache / "tmp"

    def size() -> int:
        return sum(path.stat().st_blocks for path in scratch.glob("*/template/*"))

    for _ in range(_KILLS):
        enough = moments.randrange(300_000)  # blocks of 512 bytes that are written by then
        with place.start("true") as process:
            eventually(_reached(process, size, enough), "a part of a template")
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
    code, output, said = place.run("echo", "sound")
    assert (code, output, said) == (0, b"sound\n", b"")
    assert list(scratch.iterdir()) == []
    assert len(TemplateStore(Cache(place.cache)).all()) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_clear_line(small_disk: Path) -> None:
    place = Place(small_disk)
    code, output, said = place.run("true")
    assert (code, output) == (125, b"")
    assert said.startswith(b"stockade: ")
    assert said.count(b"\n") == 1, said
    assert TemplateStore(Cache(place.cache)).all() == []


async def test_a_machine_carries_nothing_of_an_earlier_session() -> None:
    """What one leaves everywhere is in no template, and not in the next machine's memory."""
    mark = secrets.token_hex(16)
    script = f"""
        echo {mark} >/tmp/file; echo {mark} >/dev/shm/file; echo {mark} >/home/agent/file
        sh -c 'sleep 1000' {mark} & MARK={mark} sleep 1000 &
        python3 -c 'import time; held = "{mark}" * 100_000; print("up", flush=True); time.sleep(9)'
    """
    async with Sandbox() as first:
        process = await first.start(["sh", "-c", script])
        assert b"up" in await process.read_stdout()
        assert first._machine is not None
        assert _holds(first._machine.pid, mark.encode())  # or the search would prove nothing
    async with Sandbox() as second:
        assert second._machine is not None
        assert second._foundation is not None
        assert second._foundation.template is not None
        assert not _holds(second._machine.pid, mark.encode())
        await second.exec(["true"])
        assert not _holds(second._machine.pid, mark.encode())
        ram = second._foundation.template.ram
        assert not await anyio.to_thread.run_sync(_file_holds, ram, mark.encode())


def _holds(pid: int, mark: bytes) -> bool:
    """Whether the machine of this hypervisor has ``mark`` anywhere in its memory."""
    (line,) = (
        line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if line.endswith("/ram")
    )
    start, end = (int(number, 16) for number in line.split()[0].split("-"))
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as file:
        entries = os.pread(file.fileno(), (end - start) // 4096 * 8, start // 4096 * 8)
    # Pages that are there: what was never touched is the template's, which is searched by itself.
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for run in re.finditer(rb"[\x40-\xff]+", entries[7::8]):
            place, size = start + run.start() * 4096, (run.end() - run.start()) * 4096
            if mark in os.pread(memory.fileno(), size, place):
                return True
    return False


def _file_holds(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                return False
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            if mark in os.pread(file.fileno(), end - start, start):
                return True


async def test_a_hypervisor_cannot_change_its_template() -> None:
    """See also ``test_callfilter``: which calls are refused to it, each tried."""
    async with Sandbox() as box:
        assert box._machine is not None
        process = Path(f"/proc/{box._machine.pid}")
        status = (process / "status").read_text()
        assert "Seccomp:\t2" in status
        assert int(re.search(r"Seccomp_filters:\t(\d+)", status)[1]) >= 2  # type: ignore[index]
        limits = (process / "limits").read_text()
        assert re.search(r"^Max file size +0 +0 +bytes", limits, re.MULTILINE)
        maps = (process / "maps").read_text()
        mapped = [line.split()[1] for line in maps.splitlines() if line.endswith("/ram")]
        assert mapped == ["rw-p"]  # private: what it writes is its own
        shared = [line for line in maps.splitlines() if line.split()[1][3] == "s"]
        assert shared == []
