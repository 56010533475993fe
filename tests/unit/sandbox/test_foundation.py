"""What machines are made of, without a template; ``tests/functional/test_copies`` has one."""

from __future__ import annotations

import os
from array import array
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.unit.sandbox.conftest import open_descriptors
from tests.unit.sandbox.played import Agent, PlayedBackend

from stockade.model.errors import ImageError, MachineError, StockadeError
from stockade.model.limits import Limits
from stockade.model.profile import FileGrant, Profile
from stockade.sandbox import registry
from stockade.sandbox.assembly import RESERVE
from stockade.sandbox.checkpoint import Checkpoint, Origin
from stockade.sandbox.foundation import Foundation
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.ram import Pages
from stockade.sandbox.templates.store import Facts, Template

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

_MIB = 1 << 20


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """What is to be closed at the end; nothing may be open then, nor be left of a machine."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    before = open_descriptors()
    with ExitStack() as stack:
        yield stack
    assert list(tmp_path.glob("stockade/machines/*")) == []
    # One descriptor more may be the janitor's pipe.
    assert len(open_descriptors() - before) <= 1


async def _prepare(
    owned: ExitStack, backend: PlayedBackend, profile: Profile | None = None, **options: object
) -> Foundation:
    return await Foundation.prepare(
        profile or Profile(),
        owned,
        backend=backend,
        cold=True,
        progress=Silent(),
        **options,  # type: ignore[arg-type]
    )


def _checkpoint(foundation: Foundation) -> Checkpoint:
    origin = Origin("00112233", foundation.profile, "ab" * 32, "cd" * 32, 0.0)
    return Checkpoint(origin, b"state", Pages(array("Q"), os.memfd_create("pages")), ())


async def test_its_shape_holds_all_that_a_session_may_use(owned: ExitStack) -> None:
    limits = Limits(cpus=3, memory=100 * _MIB + 1, scratch=10 * _MIB)
    foundation = await _prepare(owned, PlayedBackend(Agent()), Profile(limits=limits))
    assert foundation.shape.cpus == 3
    assert foundation.shape.memory >= 110 * _MIB + 1 + RESERVE
    assert foundation.template is None


async def test_one_foundation_makes_any_number_of_machines(owned: ExitStack) -> None:
    agent = Agent()
    backend = PlayedBackend(agent)
    foundation = await _prepare(owned, backend)
    async with anyio.create_task_group() as tasks:
        started = [await foundation.launch(registry.new_id(), tasks) for _ in range(3)]
        assert {machine.kernel for machine in started} == {"6.1"}
        assert all("configure" in machine.timings for machine in started)
        for machine in started:
            await machine.close()
    names = [request["hostname"] for request in agent.requests]
    assert names == [f"stockade-{machine.id}" for machine in started]


async def test_files_are_packed_once_and_as_they_are_now(owned: ExitStack, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    profile = Profile(files=(FileGrant(host=tmp_path / "files", guest="/workspace"),))
    agent = Agent()
    backend = PlayedBackend(agent)
    foundation = await _prepare(owned, backend, profile)
    assert [grant.message["target"] for grant in foundation.grants] == ["/workspace"]
    (tmp_path / "files").rmdir()
    async with anyio.create_task_group() as tasks:
        machine = await foundation.launch(registry.new_id(), tasks)
        await machine.close()
    assert agent.requests[0]["grants"] == [foundation.grants[0].message]
    assert backend.hardware[0].disks[2].serial == "files-0"
    without = await _prepare(owned, backend, profile, files=False)
    assert without.grants == ()
    assert without.shape == foundation.shape  # there is room for them


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (Profile(image="no-such-image"), ImageError),
        (Profile(files=(FileGrant.parse("/no/such/folder:/workspace"),)), StockadeError),
    ],
)
async def test_what_cannot_be_prepared_is_one_plain_error(
    owned: ExitStack, profile: Profile, error: type[StockadeError]
) -> None:
    with pytest.raises(error):
        await _prepare(owned, PlayedBackend(Agent()), profile)


async def test_a_machine_that_refuses_its_configuration_is_closed(owned: ExitStack) -> None:
    failed = {"event": "failed", "kind": "system", "message": "no disk\x1b[2J"}
    backend = PlayedBackend(Agent(configure=failed))
    foundation = await _prepare(owned, backend)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(MachineError, match=r"could not be set up: .*no disk") as error:
            await foundation.launch(registry.new_id(), tasks)
    assert str(error.value).isprintable()
    assert backend.machines[0].closed == 1


async def test_a_machine_without_a_template_cannot_be_copied(owned: ExitStack) -> None:
    foundation = await _prepare(owned, PlayedBackend(Agent()))
    pages = Pages(array("Q"), -1)
    with pytest.raises(StockadeError, match="cannot be copied"):
        foundation.checkpoint("00112233", b"state", pages)


async def test_a_moment_that_rests_on_no_template_or_another_one_is_refused(
    owned: ExitStack,
) -> None:
    backend = PlayedBackend(Agent())
    moment = _checkpoint(await _prepare(owned, backend))
    with pytest.raises(StockadeError, match="is gone or was made anew") as error:
        await _prepare(owned, backend, origin=moment)
    assert error.value.hint
    moment.close()
    assert backend.hardware == []


async def test_what_a_moment_holds_open_is_its_own(owned: ExitStack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("granted")
    profile = Profile(files=(FileGrant(host=tmp_path / "file", guest="/data/file"),))
    facts = Facts("i", "d" * 64, 1, _MIB, 4, 0.0, {"ram": "cd" * 32, "state": ""})
    with ExitStack() as first:
        foundation = replace(
            await _prepare(first, PlayedBackend(Agent()), profile),
            template=Template(tmp_path / ("ab" * 32), facts),
        )
        pages = Pages(array("Q"), os.memfd_create("pages"))
        moment = foundation.checkpoint("00112233", b"state", pages)
    assert (moment.origin.template, moment.origin.ram) == ("ab" * 32, "cd" * 32)
    assert os.fstat(moment.grants[0].disk.fd).st_size > 0  # although the first is closed
    moment.close()
