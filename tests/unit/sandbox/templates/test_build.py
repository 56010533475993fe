"""Templates of the smallest machine, really made; what attacks them is in ``tests/security``."""

from __future__ import annotations

import functools
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.unit.sandbox.played import Agent, FailingBackend, PlayedBackend, hang_up

from stockade.model.errors import ImageError, MachineError, MissingToolError, RequestError
from stockade.sandbox.assembly import Shape
from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.prepare import prepare, prepare_runtime
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.paths import cache_dir
from stockade.sandbox.templates import store
from stockade.sandbox.templates.build import get_template
from stockade.sandbox.templates.key import template_key
from stockade.sandbox.templates.store import Template, TemplateStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.conftest import SaveCheckpoint

    from stockade.sandbox.backends.base import Backend

pytestmark = pytest.mark.anyio

_SHAPE = Shape(cpus=1, memory=256 << 20, slots=4)


class _Recorder(Silent):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.warnings: list[str] = []

    def stage(self, title: str, done: float | None) -> None:
        self.stages.append(title)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class _Place:
    """A cache of its own, that has the images of the user's."""

    def __init__(self, root: Path) -> None:
        user = cache_dir()
        root.mkdir()
        for name in ("images", "keys", "kits", "runtimes"):
            (root / name).symlink_to(user / name)
        self.root = root
        self.owned = ExitStack()
        self.store = TemplateStore(Cache(root))

    async def get(
        self, backend: Backend | None = None, progress: _Recorder | None = None
    ) -> Template:
        progress = progress or _Recorder()
        return await get_template(
            backend or QemuMicrovm(),
            await prepare("debian-python", progress),
            await prepare_runtime(progress),
            _SHAPE,
            owned=self.owned,
            progress=progress,
        )

    def expect_nothing(self) -> None:
        assert self.store.all() == []
        assert list((self.root / "tmp").iterdir()) == []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Place]:
    place = _Place(tmp_path / "cache")
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(place.root))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with place.owned:
        yield place


@pytest.mark.machine
async def test_it_is_made_once_and_anew_where_it_is_damaged(
    place: _Place, save_checkpoint: SaveCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _Recorder()
    made = await place.get(progress=first)
    assert first.stages[-3:] == [
        "booting a template", "warming the template", "saving the template",
    ]  # fmt: skip
    assert (made.facts.cpus, made.facts.memory, made.facts.slots) == (1, 256 << 20, 4)
    assert made.facts.image == "debian-python"
    assert list((place.root / "tmp").iterdir()) == []
    again = _Recorder()
    assert await place.get(progress=again) == made
    assert "booting a template" not in again.stages

    # Of several that want the one that is damaged, one makes it.
    (made.folder / "state").write_bytes(b"damaged")
    # Of others, those stay that a checkpoint rests on.
    monkeypatch.setattr(store, "_KEPT", 2)
    save_checkpoint("one", template="cd" * 32)
    for number, key in enumerate(("cd" * 32, "ee" * 32, "ff" * 32)):
        (place.store.root / key).mkdir()
        (place.store.root / key / "template.json").touch()
        os.utime(place.store.root / key / "template.json", (number, number))
    found: list[Template] = []
    recorders = [_Recorder() for _ in range(3)]

    async def get(recorder: _Recorder) -> None:
        found.append(await place.get(progress=recorder))

    async with anyio.create_task_group() as tasks:
        for recorder in recorders:
            tasks.start_soon(get, recorder)
    assert sum("booting a template" in recorder.stages for recorder in recorders) == 1
    assert len({template.facts.created for template in found}) == 1
    kept = {path.name for path in place.store.root.iterdir()}
    assert kept == {made.key, "cd" * 32, "ff" * 32}
    warnings = [text for recorder in recorders for text in recorder.warnings]
    # Only the one that holds the lock may touch it: the others might find a sound one by then.
    assert len(warnings) == 1
    assert all("damaged and made anew" in text and text.isprintable() for text in warnings)
    assert list((place.root / "tmp").iterdir()) == []


async def test_a_damaged_one_is_left_to_whoever_holds_the_lock(place: _Place) -> None:
    """Another process may have put it right between the look and the removal."""
    progress = _Recorder()
    waiting = anyio.Event()

    class Waiting(_Recorder):
        def stage(self, title: str, done: float | None) -> None:
            if title == "waiting for another process's template":
                waiting.set()

    image, runtime = await prepare("debian-python", progress), await prepare_runtime(progress)
    key = template_key(QemuMicrovm(), image, runtime, _SHAPE)
    damaged = place.store.root / key
    damaged.mkdir(parents=True)
    async with place.store.cache.lock(f"template-{key}"), anyio.create_task_group() as tasks:
        tasks.start_soon(place.get, None, Waiting())
        await waiting.wait()
        assert damaged.is_dir()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("backend", "error"),
    [
        (FailingBackend(), MissingToolError),
        (functools.partial(PlayedBackend, hang_up, "Kernel panic"), MachineError),
        (
            functools.partial(
                PlayedBackend, Agent(configure={"event": "failed", "kind": "k", "message": "m"})
            ),
            (MachineError, RequestError),
        ),
        (functools.partial(PlayedBackend, Agent(exec={"event": "exited"})), MachineError),
    ],
    ids=["no backend", "panic", "no configuration", "no command"],
)
async def test_what_cannot_be_made_is_one_plain_error_and_leaves_nothing(
    place: _Place, backend: Any, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    with pytest.raises(error) as caught:
        await place.get(backend() if callable(backend) else backend)
    assert not isinstance(caught.value, BaseExceptionGroup)
    place.expect_nothing()


async def test_a_build_that_is_cancelled_leaves_nothing(place: _Place) -> None:
    started = anyio.Event()

    class Waiting(Agent):
        async def __call__(self, peer: Any) -> None:
            started.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(place.get, PlayedBackend(Waiting()))
        await started.wait()
        tasks.cancel_scope.cancel()
    place.expect_nothing()


async def test_a_cache_that_cannot_be_written_is_told(place: _Place) -> None:
    (place.root / "tmp").touch()
    with pytest.raises(ImageError, match="cannot write the cache") as error:
        await place.get(PlayedBackend(hang_up))
    assert error.value.hint
