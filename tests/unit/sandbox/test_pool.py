from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import MachineError, UsageError
from stockade.model.profile import FileGrant, Profile
from stockade.sandbox import registry
from stockade.sandbox.paths import runtime_dir
from stockade.sandbox.pool import Pool
from stockade.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.anyio

_PATIENCE = 60.0  # seconds until a test that waits in vain fails


@pytest.fixture(autouse=True)
def _no_other_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


async def _wait(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(_PATIENCE):
        while not holds():  # noqa: ASYNC110 - another process tells nobody
            await anyio.sleep(0.01)


async def _full(pool: Pool) -> None:
    with anyio.fail_after(_PATIENCE):
        await pool.full()


async def _say(box: Sandbox, *argv: str) -> str:
    return (await box.exec(argv)).stdout.decode().strip()


@pytest.mark.parametrize("ready", [-1, 257])
def test_its_size_is_bounded(ready: int) -> None:
    with pytest.raises(UsageError, match=f"from 0 to 256 machines ready, not {ready}"):
        Pool(ready=ready)


async def test_nothing_is_claimed_of_one_that_is_closed() -> None:
    with pytest.raises(MachineError, match="the pool is closed"):
        async with Pool(ready=0).claim():
            pass


@pytest.mark.machine
async def test_each_claim_is_a_machine_of_its_own_and_another_takes_its_place() -> None:
    async with Pool(ready=2) as pool:
        await _full(pool)
        waiting = {machine.id for machine in pool._waiting}
        assert len(waiting) == 2
        assert registry.machines() == []  # they are nobody's yet
        async with pool.claim(command=["first"]) as first, pool.claim() as second:
            assert {first.id, second.id} == waiting
            assert [await _say(box, "hostname") for box in (first, second)] == [
                f"stockade-{box.id}" for box in (first, second)
            ]
            await first.files.write("/tmp/mine", b"secret")
            assert (await second.exec(["cat", "/tmp/mine"])).outcome.code != 0
            uuids = [await _say(box, "cat", "/etc/machine-id") for box in (first, second)]
            assert len(set(uuids)) == 2
            shown = {record.id: record.command for record in registry.machines()}
            assert shown == {first.id: ["first"], second.id: []}
            await _full(pool)
            assert not waiting & {machine.id for machine in pool._waiting}
        assert registry.machines() == []
        async with pool.claim() as third:
            assert third.id not in waiting
    assert pool.waiting == 0
    assert list((runtime_dir() / "machines").iterdir()) == []


@pytest.mark.machine
async def test_a_claim_that_finds_none_waiting_starts_one() -> None:
    async with Pool(ready=0) as pool, pool.claim() as box:
        assert await _say(box, "echo", "up") == "up"
        assert pool.waiting == 0


@pytest.mark.machine
async def test_what_nobody_claims_for_long_is_dropped_and_comes_back_with_demand() -> None:
    async with Pool(ready=1, idle=0.1) as pool:
        await _full(pool)
        process = pool._waiting[0].pid
        await _wait(lambda: pool.waiting == 0 and not registry.start_ticks(process))
        async with anyio.create_task_group() as tasks:
            # It may come, and be dropped again, before the claim's own machine has said a word.
            tasks.start_soon(_wait, lambda: pool.waiting > 0)
            async with pool.claim() as box:
                assert await _say(box, "echo", "up") == "up"


@pytest.mark.machine
async def test_a_machine_that_died_waiting_is_handed_to_nobody() -> None:
    async with Pool(ready=1) as pool:
        await _full(pool)
        victim = pool._waiting[0]
        os.kill(victim.pid, signal.SIGKILL)
        await _wait(lambda: victim.ended)
        async with pool.claim() as box:
            assert box.id != victim.id
            assert await _say(box, "echo", "up") == "up"


@pytest.mark.machine
async def test_files_are_granted_as_they_are_at_the_claim(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    note = folder / "note"
    note.write_text("of an earlier hour")
    grant = FileGrant.parse(f"{folder}:/workspace:overlay")
    async with Pool(Profile(files=(grant,)), ready=1) as pool:
        await _full(pool)
        for text in ("of the first claim", "of the second"):
            note.write_text(text)
            async with pool.claim() as box:
                assert await _say(box, "cat", "note") == text
                await box.exec(["sh", "-c", "echo changed > note"])
            assert note.read_text() == text
            await _full(pool)
