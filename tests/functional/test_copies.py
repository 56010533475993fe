"""Machines are copies: of a template, of one another, of a moment; and each is its own."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from stockade.model.errors import MachineError, StockadeError
from stockade.model.limits import Limits
from stockade.model.profile import Access, FileGrant, Profile
from stockade.sandbox import checkpoints, control, registry
from stockade.sandbox.checkpoint import Checkpoint
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from stockade.sandbox.process import Process

pytestmark = [pytest.mark.machine, pytest.mark.anyio]

_COPIES = int(os.environ.get("STOCKADE_SOAK", "8"))
_DRAWN = """
import random, secrets, uuid
print(open("/dev/urandom", "rb").read(32).hex())
print(uuid.uuid4())
print(random.random())
print(secrets.token_hex())
print(open("/proc/sys/kernel/random/uuid").read().strip())
print(open("/etc/machine-id").read().strip())
print(__import__("socket").gethostname())
"""


async def _text(box: Sandbox, script: str) -> str:
    result = await box.exec(["sh", "-c", script])
    assert result.code == 0, result.stderr
    return result.text


async def _lines(process: Process, text: bytes) -> None:
    """Read until ``text`` has come."""
    seen = b""
    while text not in seen:
        chunk = await process.read_stdout()
        assert chunk, f"ended before {text!r}"
        seen += chunk


async def test_no_two_copies_draw_the_same() -> None:
    """64 of them with STOCKADE_SOAK=64."""
    drawn: list[list[str]] = []

    async def draw() -> None:
        async with Sandbox() as box:
            drawn.append((await box.exec(["python3", "-c", _DRAWN])).text.split())
            # As good as the host's own, to the second.
            assert abs(float(await _text(box, "date +%s.%N")) - time.time()) < 5

    limiter = anyio.CapacityLimiter(4)

    async def bounded() -> None:
        async with limiter:
            await draw()

    async with anyio.create_task_group() as tasks:
        for _ in range(_COPIES):
            tasks.start_soon(bounded)
    for values in zip(*drawn, strict=True):
        assert len(set(values)) == _COPIES, values


async def test_a_fork_has_what_its_source_has_and_both_go_their_way() -> None:
    async with Sandbox() as box:
        await _text(box, "mkdir /tmp/work; echo one >/tmp/work/file; echo shm >/dev/shm/memory")
        loop = await box.start(["sh", "-c", "echo up; read line; echo got $line; sleep 1000"])
        await _lines(loop, b"up\n")
        async with box.fork() as first, box.fork() as second:
            assert first.id != box.id
            assert await _text(first, "cat /tmp/work/file /dev/shm/memory") == "one\nshm\n"
            await _text(first, "echo first >/tmp/work/file; rm /dev/shm/memory")
            await _text(second, "echo second >/tmp/work/file")
            assert await _text(box, "cat /tmp/work/file /dev/shm/memory") == "one\nshm\n"
            assert await _text(second, "cat /tmp/work/file") == "second\n"
            # The source's streams go on; the copy's are closed: its `read` has met the end.
            await loop.stdin.send(b"hello\n")
            await _lines(loop, b"got hello\n")
            async with first.fork() as third:
                assert await _text(third, "cat /tmp/work/file") == "first\n"
                names = {await _text(one, "hostname") for one in (box, first, second, third)}
                assert len(names) == 4


async def test_what_runs_in_a_machine_goes_on_in_its_copy() -> None:
    async with Sandbox() as box:
        script = "i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.05; done"
        counting = await box.start(["sh", "-c", f"echo up; exec >&-; {script}"])
        await _lines(counting, b"up\n")
        async with box.fork() as copy:
            wait = 'a=$(cat /tmp/count); while [ "$(cat /tmp/count)" = "$a" ]; do sleep 0.1; done'
            await _text(copy, wait)
            assert (await copy.stats())["commands"] >= 1


@pytest.mark.parametrize("access", list(Access))
async def test_granted_files_are_in_the_copy(tmp_path: Path, access: Access) -> None:
    (tmp_path / "file").write_text("granted")
    profile = Profile(files=(FileGrant(host=tmp_path, guest="/workspace", access=access),))
    async with Sandbox(profile) as box:
        change = "echo changed >file; cat file" if access is Access.OVERLAY else "cat file"
        before = await _text(box, change)
        async with box.fork() as copy:
            assert await _text(copy, "cat file") == before
    assert (tmp_path / "file").read_text() == "granted"


async def test_a_rollback_brings_back_what_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path / "state"))
    given = tmp_path / "given"
    given.mkdir()
    (given / "file").write_text("granted")
    profile = Profile(files=(FileGrant(host=given, guest="/workspace", access=Access.OVERLAY),))
    async with Sandbox(profile) as box:
        await _text(box, "echo mine >made; echo more >>file; sync")
        moment = await box.checkpoint()
        try:
            for _ in range(2):
                await _text(box, "rm -rf /workspace/* ; ! ls /workspace/file 2>/dev/null")
                left = await box.start(["sleep", "1000"])
                await box.rollback(moment)
                with pytest.raises(MachineError):
                    await left.wait()
                assert await _text(box, "cat made file") == "mine\ngrantedmore\n"
            # Others can still ask, and a pause ends with it.
            await anyio.to_thread.run_sync(lambda: control.ask(box.id, op="pause"))
            assert (box.paused, box.id in checkpoints.paused_machines()) == (True, True)
            await box.rollback(moment)
            assert (box.paused, box.id in checkpoints.paused_machines()) == (False, False)
            assert not registry.is_paused(box.id)
            assert await _text(box, "cat made") == "mine\n"
        finally:
            moment.close()


async def test_a_paused_machine_uses_no_processor_and_its_commands_no_time() -> None:
    limits = Limits(wall_time=3.0)
    async with Sandbox(Profile(limits=limits)) as box:
        assert box._machine is not None
        busy = await box.start(["sh", "-c", "echo up; while :; do :; done"])
        await _lines(busy, b"up\n")
        await box.pause()
        with pytest.raises(MachineError, match="paused"):
            await box.exec(["true"])
        before = _ticks(box._machine.pid)
        outcome = None
        with anyio.move_on_after(4):  # longer than the command may run
            outcome = await busy.wait()
        assert outcome is None
        assert _ticks(box._machine.pid) - before <= 2
        await box.resume()
        assert (await busy.wait()).code == 124
        assert await _text(box, "echo on") == "on\n"


def _ticks(pid: int) -> int:
    """Processor time of a process, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_a_checkpoint_on_disk_outlives_its_session(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    async with Sandbox() as box:
        await _text(box, "echo kept >/tmp/file")
        moment = await box.checkpoint()
        moment.save(folder)
        moment.close()

    async def origin() -> Checkpoint:
        return Checkpoint.load(folder)

    async with Sandbox(origin=origin) as again:
        assert await _text(again, "cat /tmp/file") == "kept\n"


async def test_a_checkpoint_of_another_template_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    async with Sandbox() as box:
        moment = await box.checkpoint()
        replace(moment, origin=replace(moment.origin, ram="0" * 64)).save(folder)
        moment.close()

    async def origin() -> Checkpoint:
        return Checkpoint.load(folder)

    with pytest.raises(StockadeError, match="template that this checkpoint rests on"):
        async with Sandbox(origin=origin):
            pytest.fail("it went on from pages of another template")


async def test_a_copy_does_not_boot() -> None:
    async with Sandbox() as box:
        # The kernel's clock goes on from where the template was saved: a boot would be at 0.
        assert float(await _text(box, "cut -d' ' -f1 /proc/uptime")) > 2
