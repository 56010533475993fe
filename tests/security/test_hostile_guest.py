"""Whatever the agent in a machine says, a session ends in a result or in one clear error."""

from __future__ import annotations

import collections
import re
import resource
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.security.hostile_agent import DAMAGES, HostileBackend

from stockade.model.errors import StockadeError
from stockade.model.limits import Limits
from stockade.model.profile import Profile
from stockade.sandbox import calls, machine, registry
from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.images.initramfs import INIT
from stockade.sandbox.sandbox import Sandbox
from stockade.wire.connection import WINDOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from stockade.sandbox.backends.base import Hardware, RunningMachine

pytestmark = pytest.mark.anyio

_SEED = 20_261_124
_SESSIONS_EACH = 120  # times 21 kinds of damage: over 2,000 sessions
_MAX_GROWTH_KIB = 96 * 1024
_HARMLESS = ("honest", "dribble", "stall", "stale")
_PROFILE = Profile(limits=Limits(wall_time=2.0, output=1 << 20))


async def _session(backend: HostileBackend) -> str:
    """Do one of everything; return "" or the error."""
    steps: tuple[Callable[[Sandbox], Awaitable[object]], ...] = (
        lambda box: box.exec(["true"], stdin=bytes(2 * WINDOW)),
        lambda box: box.files.list("/"),
        lambda box: box.stats(),
        lambda box: box.files.read("/etc/passwd"),
        lambda box: box.ping(),
    )
    try:
        with anyio.fail_after(60):
            async with Sandbox(_PROFILE, backend=backend, cold=True) as box:
                for step in steps:
                    await step(box)
    except StockadeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_at_any_stage_ends_in_a_result_or_one_clear_error(
    damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A frame swallowed means an answer that never comes: shorten the wait, keep the way it ends.
    monkeypatch.setattr(calls, "_PATIENCE", 0.5)
    monkeypatch.setattr(machine, "_BOOT", 0.5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = Random(f"{_SEED} {damage}")
    found: collections.Counter[str] = collections.Counter()
    for _ in range(_SESSIONS_EACH if damage != "swallow" else 20):
        error = await _session(HostileBackend(damage, rng))
        assert error.isprintable(), repr(error)
        assert len(error) < 1000
        found["error" if error else "fine"] += 1
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert growth < _MAX_GROWTH_KIB
    # Damage that is never noticed would mean that this test does not reach the host.
    assert found["error"] if damage not in _HARMLESS else found["fine"]


async def test_an_agent_that_never_greets_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_BOOT", 0.2)
    assert await _session(HostileBackend("swallow", Random(_SEED), moment=0)) == (
        "the machine did not start within 0.2 s"
    )


_SPEAK = """
import os
def open_port(name):
    ports = os.listdir("/sys/class/virtio-ports")
    named = (p for p in ports if open(f"/sys/class/virtio-ports/{p}/name").read().strip() == name)
    return os.open(f"/dev/{next(named)}", os.O_RDWR)
port, control = open_port("stockade"), open_port("control")
os.write(port, os.read(control, 104)[:32])  # the adoption's nonce
hello = bytes([1, 0, 0, 10, 0, 0, 0, 0]) + b"stockade" + bytes([0, 1])
"""
_SCRIPTS = {
    "noise": "os.write(port, os.urandom(1 << 16))",
    "opens": """
os.write(port, hello + b"".join(
    bytes([2, 0, 0, 0]) + (2 + 2 * n).to_bytes(4, "big") for n in range(100_000)))
""",
    "endless": """
os.write(port, hello)
while True:
    os.write(port, bytes([3, 1, 0, 0, 0, 0, 0, 1]) + bytes(1 << 16))
""",
}


class _TakenOver:
    """The real machine, with an initramfs that starts ``script`` in place of the agent."""

    name = "qemu-microvm"
    accelerator = "tcg"

    def __init__(self, script: str, folder: Path) -> None:
        self._script, self._folder = script, folder

    async def start(self, hardware: Hardware) -> RunningMachine:
        (self._folder / "speak.py").write_text(_SPEAK + self._script)
        text = INIT.read_text(encoding="utf-8")
        call = re.compile(r"-c \\\n.*$", re.MULTILINE)
        assert call.search(text)
        text = call.sub("/run/speak.py", text)
        mount = "    exec $b switch_root"
        assert mount in text
        text = text.replace(
            mount, f"    $b mount -t tmpfs none /mnt/run; $b cp /speak.py /mnt/run/\n{mount}"
        )
        init = self._folder / "init"
        init.write_text(text)
        init.chmod(0o755)
        # The kernel unpacks archives one after the other: this replaces /init of the first.
        extra = await anyio.run_process(
            ["cpio", "--create", "--format=newc", "--quiet", "--owner=0:0"],
            input=b"init\nspeak.py\n",
            cwd=self._folder,
        )
        initramfs = self._folder / "initramfs"
        initramfs.write_bytes(hardware.initramfs.read_bytes() + extra.stdout)
        return await QemuMicrovm().start(replace(hardware, initramfs=initramfs))


@pytest.mark.machine
@pytest.mark.parametrize("script", _SCRIPTS)
async def test_a_machine_whose_kernel_is_hostile_ends_in_one_clear_error(
    script: str, tmp_path: Path
) -> None:
    backend = _TakenOver(_SCRIPTS[script], tmp_path)
    box = Sandbox(_PROFILE, backend=backend, cold=True)
    with anyio.fail_after(100), pytest.raises(StockadeError, match="broke the protocol") as error:
        async with box:
            await box.ping()
    assert str(error.value).isprintable()
    assert not registry.folder_of(box.id).exists()
