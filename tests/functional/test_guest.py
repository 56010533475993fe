"""What the agent makes of its machine, and what the workload finds of the agent in it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from stockade.model.errors import RequestError
from stockade.model.limits import Limits
from stockade.model.outcome import Limit
from stockade.model.profile import MAX_FILES, Access, FileGrant, Profile
from stockade.sandbox.blocking import BlockingSandbox
from stockade.sandbox.calls import call
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stockade.model.outcome import Outcome

pytestmark = pytest.mark.machine

_MIB = 1 << 20
_LIMITS = Limits(memory=256 * _MIB, scratch=64 * _MIB, processes=24)

# A process that is there for a signal and not in /proc is the one that waits for the next command.
_FIND = r"""
import ctypes, os, sys
def there(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return not os.path.exists(f"/proc/{pid}")
[spare] = [pid for pid in range(2, 5000) if there(pid)]
"""
_ATTACK = (
    _FIND
    + r"""
libc = ctypes.CDLL(None, use_errno=True)
tried = []
for name in ("mem", "maps", "environ", "fd", "root", "task"):
    try:
        os.stat(f"/proc/{spare}/{name}")
        tried.append(f"{name} is there")
    except FileNotFoundError:
        pass
def refused(name, result):
    if result != -1 or ctypes.get_errno() not in (1, 3):  # EPERM, ESRCH
        tried.append(f"{name}: {result} {ctypes.get_errno()}")
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
local = Vector(ctypes.cast(ctypes.create_string_buffer(8), ctypes.c_void_p), 8)
remote = Vector(ctypes.c_void_p(id(object)), 8)
refused("attach", libc.ptrace(16, spare, 0, 0))
refused("seize", libc.ptrace(0x4206, spare, 0, 0))
refused("read", libc.process_vm_readv(
    spare, ctypes.byref(local), 1, ctypes.byref(remote), 1, ctypes.c_ulong(0)))
refused("write", libc.process_vm_writev(
    spare, ctypes.byref(local), 1, ctypes.byref(remote), 1, ctypes.c_ulong(0)))
handle = os.pidfd_open(spare)
for number in range(8):
    refused("descriptor", libc.syscall(438, handle, number, 0))
print(tried or "refused")
"""
)
_FORKS = r"""
import os, time
count = 1  # this one
while True:
    if os.fork() == 0:
        time.sleep(600)
    count += 1
    print(count, flush=True)
"""


async def _converse(box: Sandbox, script: str, *, spare: bool) -> tuple[str, Outcome]:
    """Run a script of Python's that waits for a line; with ``spare`` a process waits by then.

    That is one for the next command, made at the end of another one.
    """
    process = await box.start(["python3", "-c", script])
    if spare:
        assert (await box.exec(["true"])).code == 0
    await process.stdin.send(b"\n")
    said = b""
    while chunk := await process.read_stdout():
        said += chunk
    return said.decode(), await process.wait()


def _beside(running: BlockingSandbox, script: str, *, spare: bool = True) -> tuple[str, Outcome]:
    return running._call(partial(_converse, running._box, f"input()\n{script}", spare=spare))


@pytest.fixture(scope="module")
def small() -> Iterator[BlockingSandbox]:
    with BlockingSandbox(Profile(limits=_LIMITS)) as running:
        yield running


def test_the_machine_has_a_name_of_its_own(small: BlockingSandbox, box: BlockingSandbox) -> None:
    for running in (small, box):
        assert running.exec(["cat", "/proc/sys/kernel/hostname"]).text == (
            f"stockade-{running.id}\n"
        )


def test_the_machine_id_is_its_own_and_the_workload_cannot_change_it(
    small: BlockingSandbox, box: BlockingSandbox
) -> None:
    found = [running.files.read("/etc/machine-id") for running in (small, box)]
    assert all(re.fullmatch(rb"[0-9a-f]{32}\n", name) for name in found)
    assert found[0] != found[1]
    status = small.files.status("/etc/machine-id")
    assert (status.kind, status.mode) == ("file", 0o444)
    assert small.exec(["stat", "-c", "%u %g", "/etc/machine-id"]).text == "0 0\n"
    for script in (
        "echo x > /etc/machine-id", "rm -f /etc/machine-id", "chmod 666 /etc/machine-id",
        "mv /etc/machine-id /etc/other", "umount /etc/machine-id",
    ):  # fmt: skip
        assert small.exec(["sh", "-c", script]).code != 0, script
    with pytest.raises(RequestError, match="Permission denied"):
        small.files.write("/etc/machine-id", b"x")
    assert small.files.read("/etc/machine-id") == found[0]


def test_what_can_be_written_is_as_large_as_the_limits_say(small: BlockingSandbox) -> None:
    script = "for f in / /dev/shm; do stat -fc '%S %b' $f; done"
    sizes = [
        int(size) * int(count)
        for size, count in (
            line.split() for line in small.exec(["sh", "-c", script]).text.splitlines()
        )
    ]
    assert sizes == [_LIMITS.scratch, _LIMITS.memory // 2]


@pytest.mark.parametrize("count", [4, 5, MAX_FILES])
def test_as_many_files_as_a_profile_may_name_are_granted(tmp_path: Path, count: int) -> None:
    grants = []
    for number in range(count):
        if number % 2:
            host = tmp_path / f"file-{number}"
            host.write_text(f"{number}\n")
            guest = f"/granted/file-{number}"
        else:
            host = tmp_path / f"folder-{number}"
            host.mkdir()
            (host / "inner").write_text(f"{number}\n")
            guest = f"/granted/folder-{number}"
        access = Access.OVERLAY if number % 3 else Access.READ
        grants.append(FileGrant(host=host, guest=guest, access=access))
    with BlockingSandbox(Profile(files=tuple(grants))) as running:
        for number, grant in enumerate(grants):
            path = grant.guest if number % 2 else f"{grant.guest}/inner"
            script = f"cat {path}; echo changed >> {path}"
            result = running.exec(["sh", "-c", script])
            assert result.text == f"{number}\n"
            assert (result.code == 0) is (grant.access is Access.OVERLAY)
        assert len(running.files.list("/granted")) == count
        # The disks that no file was put into stay without a driver.
        disks = running.exec(["sh", "-c", "ls -d /sys/block/vd* | wc -l"]).text
        assert int(disks) == 2 + count


@pytest.mark.anyio
async def test_a_machine_can_be_configured_again() -> None:
    """Between commands: who it is, and what its workload may use."""
    async with Sandbox(Profile(limits=_LIMITS)) as box:
        request: dict[str, object] = {
            "op": "configure",
            "hostname": "another",
            "machine_id": "0" * 32,
            "uid": 4711,
            "gid": 4712,
            "memory": 128 * _MIB,
            "scratch": 16 * _MIB,
            "processes": 12,
            "grants": [],
        }
        await call(box._open_channel(), **request)
        said = await box.exec(
            ["sh", "-c", "cat /proc/sys/kernel/hostname /etc/machine-id; id -u; id -g"], cwd="/"
        )
        assert said.text.split() == ["another", "0" * 32, "4711", "4712"]
        sizes = await box.exec(["stat", "-fc", "%S %b", "/", "/dev/shm"], cwd="/")
        found = [int(size) * int(count) for size, count in map(str.split, sizes.text.splitlines())]
        assert found == [16 * _MIB, 64 * _MIB]
        request["grants"] = [{"disk": "files-99", "target": "/x", "access": "read"}]
        with pytest.raises(RequestError):  # there is no such disk
            await call(box._open_channel(), **request)
        assert (await box.exec(["echo", "goes on"], cwd="/")).text == "goes on\n"


def test_the_process_that_waits_can_be_neither_seen_nor_traced(small: BlockingSandbox) -> None:
    said, outcome = _beside(small, _ATTACK)
    assert (said, outcome.code) == ("refused\n", 0)


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_the_process_that_waits_may_be_killed_or_stopped(
    small: BlockingSandbox, signal: str
) -> None:
    script = f"import signal\n{_FIND}\nos.kill(spare, signal.SIG{signal})\nprint('done')"
    assert _beside(small, script)[0] == "done\n"
    for _ in range(2):
        assert small.exec(["echo", "next"]).text == "next\n"


def test_killing_all_that_it_may_leaves_the_workload_a_machine(small: BlockingSandbox) -> None:
    for _ in range(3):
        assert _beside(small, "import os\nos.kill(-1, 9)")[1].code == 0
        assert small.exec(["echo", "next"]).text == "next\n"


@pytest.mark.parametrize("spare", [False, True], ids=["none waits", "one waits"])
def test_the_limit_of_processes_is_exact(small: BlockingSandbox, spare: bool) -> None:
    """The process that waits for the next command is not the workload's."""
    said, outcome = _beside(small, _FORKS, spare=spare)
    assert outcome.limit is Limit.PROCESSES
    assert int(said.split()[-1]) == _LIMITS.processes


def test_a_commands_arguments_may_be_as_long_as_the_kernel_takes(small: BlockingSandbox) -> None:
    words = ["x" * 120_000] * 17  # nearly 2 MiB
    assert small.exec(["sh", "-c", "echo $#", "sh", *words]).text == "17\n"
    refused = small.exec(["sh", "-c", "echo $#", "sh", *words, *words[:2]])
    assert refused.code == 126
    assert refused.stderr.startswith(b"stockade: ")
    assert refused.stderr.endswith(b"Argument list too long\n")


def test_nothing_of_the_agent_is_open_in_a_command(small: BlockingSandbox) -> None:
    assert small.exec(["ls", "/proc/self/fd"]).text.split() == ["0", "1", "2", "3"]
    said, _ = _beside(small, "import os\nprint(sorted(os.listdir('/proc/self/fd')))")
    assert said == "['0', '1', '2', '3']\n"
