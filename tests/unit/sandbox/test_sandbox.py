"""The machine that other tests share, and played ones where a machine must misbehave."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from tests.unit.sandbox.conftest import open_descriptors
from tests.unit.sandbox.played import (
    Agent,
    FailingBackend,
    PlayedBackend,
    PlayedMachine,
    greet_and_wait,
    hang_up,
    make_links,
)

from stockade.model.errors import (
    ImageError,
    MachineError,
    MachineKilledError,
    MissingToolError,
    RequestError,
    StockadeError,
)
from stockade.model.limits import Limits
from stockade.model.profile import Access, FileGrant, Profile
from stockade.sandbox import machine, registry
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stockade.sandbox.backends.base import Hardware
    from stockade.sandbox.blocking import BlockingSandbox

_MIB = 1 << 20


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of its own, in which no machine may leave anything."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    before = open_descriptors()
    yield tmp_path
    assert list(tmp_path.glob("stockade/machines/*")) == []
    # One descriptor more may be the janitor's pipe.
    assert len(open_descriptors() - before) <= 1


# Without a machine.


@pytest.mark.anyio
async def test_nothing_can_be_asked_before_it_runs() -> None:
    box = Sandbox()
    for use in (box.ping(), box.stats(), box.exec(["true"]), box.files.read("/etc/passwd")):
        with pytest.raises(MachineError, match="not running") as error:
            await use
        assert error.value.hint
    assert box.backend == ""
    await box.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (Profile(image="no-such-image"), ImageError),
        (Profile(files=(FileGrant.parse("/no/such/folder:/workspace"),)), StockadeError),
        (Profile(files=(FileGrant.parse("/dev/null:/workspace"),)), StockadeError),
    ],
)
async def test_a_start_that_fails_is_one_plain_error_and_leaves_nothing(
    runtime: Path, profile: Profile, error: type[StockadeError]
) -> None:
    backend = PlayedBackend(Agent())
    with pytest.raises(error):
        async with Sandbox(profile, backend=backend, cold=True):
            pytest.fail("it must not start")
    assert backend.hardware == []


@pytest.mark.anyio
async def test_a_backend_that_fails_is_one_plain_error_and_leaves_nothing(runtime: Path) -> None:
    with pytest.raises(MissingToolError, match="nothing is installed"):
        async with Sandbox(backend=FailingBackend(), cold=True):
            pytest.fail("it must not start")


# With an agent that is played.


@pytest.mark.anyio
async def test_the_machine_is_told_who_it_is_and_what_it_may_use(
    runtime: Path, tmp_path: Path
) -> None:
    (tmp_path / "new\nline").mkdir()
    limits = Limits(cpus=3, memory=100 * _MIB + 1, scratch=10 * _MIB, processes=77)
    grant = FileGrant(host=tmp_path / "new\nline", guest="/workspace", access=Access.OVERLAY)
    agent = Agent()
    backend = PlayedBackend(agent)
    async with Sandbox(Profile(limits=limits, files=(grant,)), backend=backend, cold=True) as box:
        assert box.backend == "played"
        assert box.kernel == "6.1"
        assert set(box.timings) == {"prepare", "launch", "boot", "configure"}
        (record,) = registry.machines()
        assert (record.id, record.owner, record.backend) == (box.id, os.getpid(), "played")
    (hardware,) = backend.hardware
    assert (hardware.machine, hardware.cpus) == (box.id, 3)
    assert hardware.memory % _MIB == 0
    assert hardware.memory > 110 * _MIB
    assert [disk.serial for disk in hardware.disks] == ["runtime", "image", "files-0"]
    assert (hardware.ram, hardware.state) == (None, None)
    (configure,) = agent.requests
    assert configure["op"] == "configure"
    assert configure["hostname"] == f"stockade-{box.id}"
    assert len(bytes.fromhex(configure["machine_id"])) == 16
    assert (configure["memory"], configure["scratch"]) == (100 * _MIB + 1, 10 * _MIB)
    assert configure["processes"] == 77
    assert configure["grants"] == [{"disk": "files-0", "target": "/workspace", "access": "overlay"}]
    assert backend.machines[0].closed == 1


@pytest.mark.anyio
async def test_no_two_machines_are_told_the_same(runtime: Path) -> None:
    agent = Agent()
    backend = PlayedBackend(agent)
    before = time.time()
    for _ in range(2):
        async with Sandbox(backend=backend, cold=True):
            pass
    first, second = (made.adoptions[0] for made in backend.machines)
    assert first.seed != second.seed
    assert first.nonce != second.nonce
    assert before <= first.time <= second.time <= time.time()
    one, other = agent.requests
    assert one["machine_id"] != other["machine_id"]
    assert one["hostname"] != other["hostname"]


@pytest.mark.anyio
async def test_a_paused_machine_is_stopped_once_and_refuses_work(runtime: Path) -> None:
    backend = PlayedBackend(Agent())
    async with Sandbox(backend=backend, cold=True) as box:
        await box.resume()
        assert not box.paused
        for _ in range(2):
            await box.pause()
        assert box.paused
        for use in (box.exec(["true"]), box.stats(), box.files.read("/etc/passwd"), box.ping()):
            with pytest.raises(MachineError, match="the machine is paused") as error:
                await use
            assert error.value.hint == "Resume it first."
        for _ in range(2):
            await box.resume()
        await box.ping()
    assert backend.machines[0].commands == ["qmp_capabilities", "stop", "cont"]


@pytest.mark.anyio
async def test_a_pause_that_is_cancelled_is_whole_or_has_not_begun(runtime: Path) -> None:
    """Time must not go on for a machine that stands still, nor the other way round."""
    backend = PlayedBackend(Agent())
    async with Sandbox(backend=backend, cold=True) as box:
        for order, change in (("stop", box.pause), ("cont", box.resume)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(change)
                while backend.machines[0].commands[-1:] != [order]:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert box.paused is (order == "stop")
            assert registry.is_paused(box.id) is (order == "stop")


@pytest.mark.anyio
async def test_a_paused_machine_can_be_closed(runtime: Path) -> None:
    backend = PlayedBackend(Agent())
    async with Sandbox(backend=backend, cold=True) as box:
        await box.pause()
    assert backend.machines[0].closed == 1


@pytest.mark.anyio
async def test_what_does_not_run_can_be_neither_paused_nor_copied() -> None:
    box = Sandbox(cold=True)
    assert not box.paused
    with pytest.raises(MachineError, match="not running"):
        await box.pause()
    with pytest.raises(MachineError, match="not running"):
        await box.checkpoint()
    with pytest.raises(MachineError, match="not running"):
        async with box.fork():
            pytest.fail("it must not start")


@pytest.mark.anyio
async def test_a_machine_whose_memory_is_nobodys_file_is_not_copied_and_goes_on(
    runtime: Path,
) -> None:
    backend = PlayedBackend(Agent())
    async with Sandbox(backend=backend, cold=True) as box:
        with pytest.raises(MachineError, match="has not mapped the machine's memory"):
            await box.checkpoint()
        assert backend.machines[0].commands[-1] == "cont"
        assert not box.paused
        await box.ping()


@pytest.mark.anyio
async def test_statistics_are_what_the_machine_says_of_itself(runtime: Path) -> None:
    agent = Agent(stats={"event": "done", "memory": 7, "commands": 0})
    async with Sandbox(backend=PlayedBackend(agent), cold=True) as box:
        assert await box.stats() == {"memory": 7, "commands": 0}
        await box.ping()


@pytest.mark.anyio
async def test_environment_and_folder_come_from_image_profile_and_call(
    runtime: Path, tmp_path: Path
) -> None:
    refuse = {"event": "failed", "kind": "system", "message": "not today"}
    agent = Agent(exec=refuse)
    grant = FileGrant(host=tmp_path, guest="/workspace")
    profile = Profile(files=(grant,), env={"A": "profile", "B": "profile"})
    async with Sandbox(profile, backend=PlayedBackend(agent), cold=True) as box:
        for options in ({}, {"env": {"B": "call"}, "cwd": "/tmp"}):
            with pytest.raises(RequestError, match="not today"):
                await box.exec([b"printf", "\udcff"], **options)  # type: ignore[arg-type]
    _, plain, chosen = agent.requests
    assert plain["argv"] == ["printf", "\udcff"]
    assert plain["cwd"] == "/workspace"
    assert plain["env"]["HOME"] == "/home/agent"
    assert (plain["env"]["A"], plain["env"]["B"]) == ("profile", "profile")
    assert chosen["cwd"] == "/tmp"
    assert (chosen["env"]["A"], chosen["env"]["B"]) == ("profile", "call")
    # Nothing of the host's own environment.
    assert set(plain["env"]) & set(os.environ) <= {"A", "B", "PATH", "HOME", "USER", "LANG"}


@pytest.mark.anyio
async def test_a_machine_that_cannot_be_set_up_says_why(runtime: Path) -> None:
    failed = {"event": "failed", "kind": "system", "message": "no disk\x1b[2J"}
    backend = PlayedBackend(Agent(configure=failed))
    with pytest.raises(MachineError, match=r"could not be set up: .*no disk") as error:
        async with Sandbox(backend=backend, cold=True):
            pytest.fail("it must not start")
    assert str(error.value).isprintable()
    assert backend.machines[0].closed == 1


@pytest.mark.anyio
@pytest.mark.parametrize(("words", "said"), [("", ""), ("Kernel panic", ": Kernel panic")])
async def test_a_machine_that_ends_at_its_start_is_quoted(
    runtime: Path, words: str, said: str
) -> None:
    backend = PlayedBackend(hang_up, words)
    with pytest.raises(MachineError, match=f"^the machine has ended{said}$"):
        async with Sandbox(backend=backend, cold=True):
            pytest.fail("it must not start")
    assert backend.machines[0].closed == 1


@pytest.mark.anyio
async def test_a_machine_that_never_speaks_is_given_up(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mute(PlayedMachine):
        async def wait(self) -> str:
            await anyio.sleep_forever()
            return ""

    class Backend(PlayedBackend):
        async def start(self, hardware: Hardware) -> PlayedMachine:
            made = Mute(self._play, "", *make_links())
            self.machines.append(made)
            return made

    monkeypatch.setattr(machine, "_BOOT", 0.05)
    backend = Backend(greet_and_wait)
    with pytest.raises(MachineError, match=r"did not start within 0.05 s"):
        async with Sandbox(backend=backend, cold=True):
            pytest.fail("it must not start")
    assert backend.machines[0].closed == 1


@pytest.mark.anyio
async def test_a_start_that_is_cancelled_leaves_nothing(runtime: Path) -> None:
    backend = PlayedBackend(greet_and_wait)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel_once_launched() -> None:
                await backend.started.wait()
                scope.cancel()

            tasks.start_soon(cancel_once_launched)
            async with Sandbox(backend=backend, cold=True):
                pytest.fail("it must not start")
    assert scope.cancelled_caught
    assert backend.machines[0].closed == 1


@pytest.mark.anyio
async def test_an_error_in_its_body_is_raised_as_it_is(runtime: Path) -> None:
    backend = PlayedBackend(Agent())
    with pytest.raises(ZeroDivisionError):
        async with Sandbox(backend=backend, cold=True):
            1 / 0  # noqa: B018
    assert backend.machines[0].closed == 1


@pytest.mark.anyio
async def test_a_machine_ended_by_a_person_says_so(runtime: Path) -> None:
    backend = PlayedBackend(Agent())
    async with Sandbox(backend=backend, cold=True) as box:
        # As stockade kill does; the process here is this one, and so is not killed.
        (registry.folder_of(box.id) / "killed").touch()
        backend.machines[0].ends.channel.shutdown(socket.SHUT_RDWR)
        with pytest.raises(MachineKilledError, match="ended by stockade kill"):
            await box.exec(["true"])


@pytest.mark.anyio
async def test_it_can_be_closed_early_and_more_than_once(runtime: Path) -> None:
    backend = PlayedBackend(Agent())
    async with Sandbox(backend=backend, cold=True) as box:
        await box.close()
        await box.close()
        with pytest.raises(MachineError, match="the machine is closed"):
            await box.ping()
    assert backend.machines[0].closed == 1


# The real one.


@pytest.mark.machine
def test_the_shared_machine_is_known_while_it_runs(box: BlockingSandbox) -> None:
    (record,) = (record for record in registry.machines() if record.id == box.id)
    assert record.backend == "qemu-microvm"
    assert record.owner == os.getpid()


@pytest.mark.machine
def test_a_path_that_no_file_can_have_is_an_error_and_the_machine_goes_on(
    box: BlockingSandbox,
) -> None:
    with pytest.raises(RequestError) as error:
        box.files.read("/tmp/a\0b")
    assert str(error.value).isprintable()
    with pytest.raises(RequestError) as error:
        box.files.read("/tmp/" + "x" * 5000)
    assert error.value.kind == "ENAMETOOLONG"
    assert box.exec(["true"]).code == 0


@pytest.mark.machine
def test_an_environment_or_arguments_too_large_are_an_exit_code(box: BlockingSandbox) -> None:
    result = box.exec(["true", "x" * (3 * _MIB)])
    assert result.code == 126
    assert b"too long" in result.stderr
    assert box.exec(["true"]).code == 0
